// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// A byte order mark, which some editors write before the text of a file, is not part of the text.
@Suite("Byte order marks", .timeLimit(.minutes(2)))
struct ByteOrderMarkTests {
    private static let mark = "\u{FEFF}"

    @Test("Settings, catalogues, payloads and contexts may begin with a byte order mark")
    func markedInput() async throws {
        try await RelayFixture.with { relay in
            let text = try String(contentsOfFile: relay.conductorFile(), encoding: .utf8)
            let catalogue = try relay.write(Self.mark + "service: shop\nevents: {usage: []}\n", to: "shop.yaml")
            let config = try relay.write(
                Self.mark + text + "catalogue: {files: [\(catalogue)]}\n", to: "marked.yaml")
            let checked = try await Program.conductor.run(["check-config", "--config", config])
            #expect(checked.status == .exited(0), "\(checked.errorText)")

            let start = Self.mark + #"{"instance_id": "guest-1", "dbname": "shop"}"#
            let arguments = [
                "context", "database_create", "--tenant", "tenant-1", "--client-ip", "c", "--server-ip", "s",
            ]
            let context = try await Program.conductor.run(arguments + ["--payload", "-"]) { try await $0.write(start) }
            #expect(context.status == .exited(0), "\(context.errorText)")
            let payload = try relay.write(start, to: "payload.json")
            let fromFile = try await Program.conductor.run(arguments + ["--payload", payload])
            #expect(fromFile.status == .exited(0), "\(fromFile.errorText)")

            let file = try relay.write(Self.mark + context.standardOutput.joined(), to: "context.json")
            let told = try await Program.conductor.run([
                "notify", "dbaas.database_create.end", "--context", file, "--set", "drivers=noop",
            ])
            #expect(told.status == .exited(0), "\(told.errorText)")
            try await relay.withConductor { conductor in
                let guest = try await relay.exec(["true"], ports: [conductor.port], context: file)
                #expect(guest.status == .exited(0) && guest.standardError.isEmpty, "\(guest.errorText)")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }
}
