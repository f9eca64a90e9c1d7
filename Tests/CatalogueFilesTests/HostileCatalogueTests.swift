// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import Foundation
import Notifications
import Testing

@Suite("Malicious catalogue files", .timeLimit(.minutes(1)))
struct HostileCatalogueTests {
    @Test(
        "Anchors, merge keys and tags are rejected",
        arguments: [
            "service: &a s\nevents: {e: []}", "service: s\nevents: {e: &a []}", "service: s\nevents: {e: [&a f]}",
            "service: s\nevents: {<<: {e: []}}", "service: s\nevents: {e: !!seq [!x f]}",
            "service: s\nfields: &a {f: F}\nevents: {e: [f]}", "service: s\nevents: {&a e: []}",
            "service: !!binary cw==\nevents: {e: []}", "&a\nservice: s\nevents: {e: []}",
        ])
    func unsupported(_ yaml: String) throws {
        let problems = try CatalogueFixture.problems(yaml)
        #expect(problems.contains { $0.contains("catalogue files may not use YAML") }, "\(problems)")
    }

    @Test("Aliases of aliases are rejected before they are expanded")
    func aliasBomb() throws {
        let layers = (1..<30).map { "l\($0): &l\($0) [*l\($0 - 1), *l\($0 - 1)]" }
        let yaml = (["service: s", "l0: &l0 [lol, lol]"] + layers).joined(separator: "\n")
        let problems = try CatalogueFixture.problems(yaml)
        #expect(problems == ["file.yaml:11: catalogue files may not use YAML aliases; write each value out."])
    }

    @Test("A directory, a device, a missing, a too large or a non-UTF-8 file is rejected")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.path
        func problem(_ path: String) -> String {
            do throws(CatalogueFileError) {
                _ = try Catalogue(file: path)
                return "none"
            } catch {
                return error.description
            }
        }
        #expect(problem(folder) == "The catalogue file \(folder) is a directory; give the path of a file.")
        #expect(problem("/nowhere.yaml").contains("does not exist"))
        #expect(problem("/dev/zero").contains("is not a regular file"))
        let large = "service: s\nevents: {e: []}\n" + String(repeating: "#", count: 1 << 20)
        #expect(try CatalogueFixture.problems(large).first?.contains("larger than 1048576 bytes") == true)
        let latin = Data("service: s\ndescription: Z".utf8) + Data([0xfc]) + Data("rich\n".utf8)
        #expect(
            try CatalogueFixture.problems(latin)
                == ["file.yaml:2: the catalogue file is not UTF-8 text; save it as UTF-8."])
    }

    @Test("Thousands of fields are read, and thousands of mistakes or deep nesting are rejected")
    func large() throws {
        let fields = (0..<20_000).map { "  f\($0): F\n" }.joined()
        let wrong = (0..<20_000).map { "    - g\($0)\n" }.joined()
        let many = "service: s\nfields:\n\(fields)events:\n  e:\n\(wrong)"
        #expect(try CatalogueFixture.problems(many).count == 20_000)
        let right = (0..<20_000).map { "    - f\($0)\n" }.joined()
        let catalogue = try CatalogueFixture.read("service: s\nfields:\n\(fields)events:\n  e:\n\(right)")
        #expect(catalogue.events.first?.fields.count == 20_000)
        for depth in [900, 400_000] {
            let deep = "service: s\nevents: {e: " + String(repeating: "[", count: depth)
            #expect(try CatalogueFixture.problems(deep).count == 1)
        }
        let closed = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
        #expect(try CatalogueFixture.problems("service: s\nevents: {e: \(closed)}").count == 1)
    }

    @Test("A truncated file is read or rejected without a crash")
    func prefixes() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../deploy/catalogues/magnetodb.yaml")
        let bytes = try Data(contentsOf: file.standardizedFileURL)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            _ = try CatalogueFixture.problems(bytes.prefix(length))
        }
    }
}
