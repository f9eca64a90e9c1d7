// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import Foundation
import Testing

@Suite("Errors in catalogue files", .timeLimit(.minutes(1)))
struct CatalogueProblemsTests {
    private static let cases: [(yaml: String, problem: String)] = [
        ("service: s", "file.yaml: the catalogue has neither operations nor events; declare some."),
        ("", "file.yaml: the catalogue file is empty; it must have a service."),
        (
            "operations: {o: {}}",
            "file.yaml: service is missing; set it to the name of the service that has these events."
        ),
        ("service:\nevents: {e: []}", "file.yaml:1: service has no value; it must be a text."),
        ("service: a b\nevents: {e: []}", "file.yaml:1: service is not a valid name; use letters, digits, _ and -."),
        ("service: a.b\nevents: {e: []}", "file.yaml:1: service is not a valid name; use letters, digits, _ and -."),
        ("service: [s]\nevents: {e: []}", "file.yaml:1: service must be a text, not a list."),
        (
            "service: s\nevents: {e: []}\noperation: {}",
            "file.yaml:3: operation is unknown; remove or correct it (did you mean operations?)."
        ),
        (
            "service: s\noperations:\n  o:\n    strat: []",
            "file.yaml:4: operations.o.strat is unknown; remove or correct it (did you mean start?)."
        ),
        ("service: s\noperations: []", "file.yaml:2: operations must be a section, not a list."),
        ("service: s\noperations: {o: }", "file.yaml:2: operations.o has no value; it must be a section."),
        (
            "service: s\nevents:\n  e:",
            "file.yaml:3: events.e has no value; write its fields as a list, or [] for none."
        ),
        ("service: s\nevents: {e: f}", "file.yaml:2: events.e must be a list, such as [a, b], not a single value."),
        (
            "service: s\nevents: {e: [[f]]}",
            "file.yaml:2: events.e has an item that is not a text; correct or remove it."
        ),
        (
            "service: s\nfields: {disk_gb: D}\nevents:\n  e: [disk_bg]",
            "file.yaml:4: events.e names disk_bg, which is not declared under fields (did you mean disk_gb?)."
        ),
        ("service: s\nfields: {f: F}\nevents: {e: [f, f?]}", "file.yaml:3: events.e names f twice; name it once."),
        (
            "service: s\nfields:\n  f: {type: txt, description: D}\nevents: {e: [f]}",
            "file.yaml:3: fields.f.type must be one of text, integer, number, boolean, texts, timestamp, any "
                + "(did you mean text?)."
        ),
        (
            "service: s\nfields: {f: {type: text}}\nevents: {e: [f]}",
            "file.yaml:2: fields.f has no description; describe the field."
        ),
        (
            "service: s\nfields: {f: {description: D, required: true}}\nevents: {e: [f]}",
            "file.yaml:2: fields.f.required is unknown; remove or correct it."
        ),
        (
            "service: s\nfields: {f: {description: D, nullable: maybe}}\nevents: {e: [f]}",
            "file.yaml:2: fields.f.nullable must be true or false, not a single value."
        ),
        (
            "service: s\nfields: {f: {description: D, role: guest}}\nevents: {e: [f]}",
            "file.yaml:2: fields.f.role must be one of instance, tenant."
        ),
        (
            "service: s\nfields:\n  f: {description: D, changes: maybe}\nevents: {e: [f]}",
            "file.yaml:3: fields.f.changes must be true or false, not a single value."
        ),
        (
            "service: s\nfields:\n  f: {description: D, changes: true, role: instance}\nevents: {e: [f]}",
            "file.yaml:3: fields.f has both changes and a role; a field with a role holds a name, which must not change; "
                + "remove one of them."
        ),
        (
            "service: s\nidentifiers: [f]\nfields: {f: {description: D, changes: true}}\noperations: {o: {start: [f]}}",
            "file.yaml:2: identifiers has f, a field that changes; an identifier must not change; remove it."
        ),
        (
            "service: s\nfields:\n  f: {description: D, role: instance, type: texts}\nevents: {e: [f]}",
            "file.yaml:3: fields.f has a role, which only a field of type text can have, but not message and exception; "
                + "remove it."
        ),
        (
            "service: s\nfields:\n  message: {description: D, role: tenant}\nevents: {e: [message]}",
            "file.yaml:3: fields.message has a role, which only a field of type text can have, but not message and "
                + "exception; remove it."
        ),
        (
            "service: s\nfields: {f: ''}\nevents: {e: [f]}",
            "file.yaml:2: fields.f is empty; write a text or remove the key."
        ),
        (
            "service: s\nfields: {tenant_id: T}\nevents: {e: [tenant_id]}",
            "file.yaml:2: fields.tenant_id is one of the base fields, which need no declaration; remove it."
        ),
        (
            "service: s\nfields: {a.b: T}\nevents: {e: []}",
            "file.yaml:2: fields.a.b is not a valid field name; use letters, digits, _ and -."
        ),
        (
            "service: s\nbase_fields: [tenant_id, usr_id]\nevents: {e: []}",
            "file.yaml:2: base_fields has usr_id, which is not one of tenant_id, user_id, client_ip, server_ip, "
                + "server_type, request_id (did you mean user_id?)."
        ),
        (
            "service: s\nbase_fields: [tenant_id, tenant_id]\nevents: {e: []}",
            "file.yaml:2: base_fields names tenant_id twice; name it once."
        ),
        (
            "service: s\nidentifiers: [g]\nfields: {f: F, g: G}\noperations: {o: {start: [f], end: [g]}}",
            "file.yaml:2: identifiers has g, which is not a field of any operation's start (did you mean f?)."
        ),
        (
            "service: s\nidentifiers: [f, f]\nfields: {f: F}\noperations: {o: {start: [f]}}",
            "file.yaml:2: identifiers names f twice; name it once."
        ),
        (
            "service: s\noperations:\n  o:\n    end: [server_ip]",
            "file.yaml:4: operations.o.end names server_ip, which operations get from base_fields only; remove it."
        ),
        (
            "service: s\nfields: {f: F}\noperations:\n  o:\n    one_for_each: f\n    start: [f]",
            "file.yaml:5: operations.o.one_for_each must name a field of the operation's start whose type is texts."
        ),
        (
            "service: s\nfields: {message: {type: integer, description: D}}\noperations:\n  o:\n    error: [message]",
            "file.yaml:5: operations.o.error names message, whose type must be text there."
        ),
        (
            "service: s\noperations:\n  o:\n    end: {event_type: t.o}",
            "file.yaml:4: operations.o.end.event_type must begin with s.."
        ),
        (
            "service: s\noperations:\n  o: {end: {event_type: s.p.end}}\n  p: {}",
            "file.yaml:4: operations.p: the event type s.p.end occurs twice in this file; rename one of them."
        ),
        (
            "service: s\noperations: {o: {end: {priority: error}}}",
            "file.yaml:2: operations.o.end.priority is unknown; remove or correct it."
        ),
        (
            "service: s\nevents: {e: {priority: warning}}",
            "file.yaml:2: events.e.priority must be one of audit, debug, info, warn, error, critical, sample."
        ),
        (
            "service: s\nevents: {e: {enabled: 'false'}}",
            "file.yaml:2: events.e.enabled must be true or false, not a single value."
        ),
        (
            "service: s\noperations: {'a b': {}}",
            "file.yaml:2: operations.a key that could not be a name is not a valid operation name: use letters, digits, "
                + "_ and -, separated by dots, and including the service at most 255 bytes."
        ),
        (
            "service: s\nevents: {a..b: []}",
            "file.yaml:2: events.a..b is not a valid event name: use letters, digits, _ and -, separated by dots, and "
                + "including the service at most 255 bytes."
        ),
        (
            "service: s\nevents: {e: [], [f]: []}",
            "file.yaml:2: events has a key that is not a name; use a plain text as the key."
        ),
        (
            "service: s\nevents: {e: []}\nevents: {f: []}",
            "file.yaml:2: events appears more than once in the same section; keep one."
        ),
        (
            "service: s\nfields: {f: F, f: G}\nevents: {e: []}",
            "file.yaml:2: f appears more than once in the same section; keep one."
        ),
        (
            "- service",
            "file.yaml:1: the catalogue file must hold a catalogue, which begins with \"service:\", at the top level."
        ),
        (
            "service: s\nevents: {",
            "file.yaml:3: the catalogue file is not valid YAML: did not find expected node content."
        ),
    ]

    @Test("Each mistake is reported with its place and what to do", arguments: Self.cases)
    func problem(yaml: String, problem: String) throws {
        #expect(try CatalogueFixture.problems(yaml) == [problem])
    }

    @Test("All problems of a file are reported, in the file's order")
    func all() throws {
        let problems = try CatalogueFixture.problems(
            "service: s\nfields: {f: [], g: G}\noperations:\n  o: {start: [h], stop: 1}\nevents:\n  e: {filds: [g]}\n")
        #expect(problems.count == 4)
        #expect(problems.map { $0.prefix(12) } == ["file.yaml:2:", "file.yaml:4:", "file.yaml:4:", "file.yaml:6:"])
    }

    @Test("An event type has at most 255 bytes; a file may give an event a shorter type")
    func longNames() throws {
        func file(_ length: Int, _ end: String) -> String {
            "service: s\noperations: {\(String(repeating: "k", count: length)): {error: {event_type: s.e}\(end)}}"
        }
        #expect(try CatalogueFixture.problems(file(255 - 2 - 4, "")) == [])
        #expect(try CatalogueFixture.problems(file(255 - 2 - 3, "")).count == 1)
        #expect(try CatalogueFixture.problems(file(255 - 2, ", end: {event_type: s.d}")) == [])
        #expect(try CatalogueFixture.problems(file(255 - 1, ", end: {event_type: s.d}")).count == 1)
        let standalone = "service: s\nevents: {\(String(repeating: "k", count: 254)): []}"
        #expect(try CatalogueFixture.problems(standalone).count == 1)
    }
}
