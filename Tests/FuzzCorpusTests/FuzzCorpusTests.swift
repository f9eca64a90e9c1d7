import Foundation
import FuzzEntries
import Testing

/// Passes the fuzzer's first inputs, and inputs with which it found a defect, through the entries to which they belong.
@Suite struct FuzzCorpusTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzzing/Corpus")

    @Test("Every input of the corpus passes the checks of its entry", arguments: FuzzEntry.allCases)
    func corpusInputs(entry: FuzzEntry) throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.corpus.appending(path: entry.rawValue), includingPropertiesForKeys: nil)
        #expect(files.count >= 3)
        for file in files {
            let problem = entry.problem(with: Array(try Data(contentsOf: file)))
            #expect(problem == nil, "\(file.lastPathComponent)")
        }
    }

    @Test("The corpus has exactly one directory for each fuzz entry")
    func corpusDirectories() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path)
        #expect(Set(names) == Set(FuzzEntry.allCases.map(\.rawValue)))
    }
}
