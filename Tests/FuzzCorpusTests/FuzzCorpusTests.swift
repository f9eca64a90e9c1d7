import Foundation
import FuzzEntries
import Testing

/// What the fuzzer begins with, and what it once found, goes through every entry it belongs to.
@Suite struct FuzzCorpusTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzzing/Corpus")

    @Test(arguments: FuzzEntry.allCases)
    func theCorpusIsTakenWell(entry: FuzzEntry) throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.corpus.appending(path: entry.rawValue), includingPropertiesForKeys: nil)
        #expect(files.count >= 3)
        for file in files {
            let problem = entry.problem(with: Array(try Data(contentsOf: file)))
            #expect(problem == nil, "\(file.lastPathComponent)")
        }
    }

    @Test func theCorpusHasNoOtherEntries() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path)
        #expect(Set(names) == Set(FuzzEntry.allCases.map(\.rawValue)))
    }
}
