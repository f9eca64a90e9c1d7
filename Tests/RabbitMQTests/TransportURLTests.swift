// SPDX-License-Identifier: Apache-2.0

import RandomTesting
import Testing

@testable import RabbitMQ

@Suite("TransportURL")
struct TransportURLTests {
    @Test("A URL with one host and every part is parsed")
    func everything() throws {
        let url = try TransportURL(
            "rabbit://user:pa%3Ass%2Fw%40rd@broker.example:5673/vhost%2Fone?ssl=1&ssl_ca_file=%2Fetc%2Fca.pem"
                + "&ssl_cert_file=/etc/cert.pem&ssl_key_file=/etc/key.pem&ssl_version=TLSv1_2")
        #expect(
            url.hosts == [.init(name: "broker.example", port: 5673, user: "user", password: Password("pa:ss/w@rd"))])
        #expect(url.virtualHost == "vhost/one")
        #expect(
            url.tls
                == .init(caFile: "/etc/ca.pem", certificateFile: "/etc/cert.pem", keyFile: "/etc/key.pem"))
        #expect(url.ignoredOptions.isEmpty)
    }

    @Test("Each host has its own port and credentials, and the default user is guest")
    func hosts() throws {
        let url = try TransportURL("rabbit://a:1@one:5673,b:2@two,three:99,,[::1]:7,[fe80::2],fe80::3/v?ssl=0")
        #expect(url.hosts.map(\.name) == ["one", "two", "three", "::1", "fe80::2", "fe80::3"])
        #expect(url.hosts.map(\.port) == [5673, 5672, 99, 7, 5672, 5672])
        #expect(url.hosts.map(\.user) == ["a", "b", "guest", "guest", "guest", "guest"])
        #expect(url.hosts.map(\.password.revealed) == ["1", "2", "guest", "guest", "guest", "guest"])
        #expect(url.hosts[3].address == "[::1]:7")
        #expect(url.hosts[0].address == "one:5673")
    }

    @Test(
        "A URL without a host means localhost",
        arguments: ["rabbit://", "rabbit:///", "amqp://", "rabbit://guest:guest@:5672/"])
    func noHost(text: String) throws {
        #expect(
            try TransportURL(text).hosts
                == [.init(name: "localhost", port: 5672, user: "guest", password: Password("guest"))])
    }

    @Test(
        "Virtual hosts are read as oslo reads them",
        arguments: [
            ("", "/"), ("/", "/"), ("/foo", "foo"), ("//foo", "/foo"), ("//", "/"), ("/%2F", "/"), ("/%2Ffoo", "/foo"),
            ("/a/b", "a/b"), ("/caf%C3%A9", "café"), ("/100%", "100%"), ("/a+b", "a+b"), ("?heartbeat_rate=2", "/"),
        ])
    func virtualHost(path: String, expected: String) throws {
        #expect(try TransportURL("rabbit://localhost\(path)").virtualHost == expected)
    }

    @Test("The amqps scheme means TLS, and the default port under TLS is 5671")
    func tls() throws {
        #expect(try TransportURL("amqps://h").hosts[0].port == 5671)
        #expect(try TransportURL("amqps://h").tls == .init())
        #expect(try TransportURL("rabbit://h?ssl=true").hosts[0].port == 5671)
        #expect(try TransportURL("RABBIT://h?ssl=on").tls == .init())
        #expect(try TransportURL("rabbit://h:1?ssl=false").tls == nil)
        #expect(
            try TransportURL("rabbit://h?ssl=1&ssl_enforce_hostname_verification=no").tls?.verifiesHostname == false)
    }

    @Test("Options that only oslo uses are listed as ignored, and are not rejected")
    func ignored() throws {
        #expect(
            try TransportURL("rabbit://localhost?heartbeat_rate=3&kombu_reconnect_delay=0.5").ignoredOptions
                == ["heartbeat_rate", "kombu_reconnect_delay"])
    }

    @Test(
        "An error names the part of the URL that is wrong",
        arguments: [
            ("", TransportURLError.Code.syntax, "not a URL"),
            ("hunter2", .syntax, "not a URL"),
            ("rabbit:/h", .syntax, "not a URL"),
            ("rabbit://h/ x", .syntax, "space"),
            ("rabbit://h\u{0}", .syntax, "control character"),
            ("rabbit://h/v#x", .syntax, "#"),
            ("kombu+rabbit://h/", .scheme, "\"kombu+rabbit\""),
            ("kafka://h/", .scheme, "\"kafka\""),
            ("://h", .scheme, "does not begin"),
            ("rabbit://h:0/", .port, "host number 1"),
            ("rabbit://h,g:65536/", .port, "host number 2"),
            ("rabbit://h:/", .port, "1 to 65535"),
            ("rabbit://[::1/", .host, "no ]"),
            ("rabbit://[::1]x/", .host, "after the ]"),
            ("rabbit://user@h/", .credentials, "no password"),
            ("rabbit://u:%FF@h/", .credentials, "not UTF-8"),
            ("rabbit://u:%00@h/", .credentials, "NUL"),
            ("rabbit://h/%00", .virtualHost, "printable"),
            ("rabbit://h/%FF", .virtualHost, "printable"),
            ("rabbit://h?ssl=maybe", .option, "ssl must be true or false"),
            ("rabbit://h?ssl_ca_file=/a", .option, "add ssl=1"),
            ("rabbit://h?ssl=1&ssl_key_file=/a", .option, "without ssl_cert_file"),
            ("rabbit://h?ssl=1&ssl_version=SSLv3", .option, "ssl_version"),
            ("rabbit://h?ssl=1&ssl=0", .option, "twice"),
            ("amqps://h?ssl=0", .option, "amqps:// and ssl=0"),
            ("rabbit://h?sll=1", .option, "does not know"),
            ("rabbit://*/", .host, "a *"), ("rabbit://u:p@*.example:5672/?ssl=1", .host, "a *"),
            ("rabbit://[broker.example]:5672/?ssl=1", .host, "brackets"), ("rabbit://[127.0.0.1]/", .host, "brackets"),
            ("rabbit://[::1%]/", .host, "brackets"),
        ])
    func errors(text: String, code: TransportURLError.Code, says: String) {
        do throws(TransportURLError) {
            _ = try TransportURL(text)
            Issue.record("taken: \(text)")
        } catch {
            #expect(error.code == code)
            #expect(error.description.contains(says), "\(error)")
            #expect(error.description.hasPrefix("messaging.transport_url: "))
        }
    }

    @Test(
        "Plaintext to this machine needs no option",
        arguments: [
            "localhost", "LocalHost", "127.0.0.1", "127.9.8.7", "[::1]", "::1", "[0:0:0:0:0:0:0:1]", "",
            "127.0.0.1:5673,u:p@localhost,[::1]:7",
        ])
    func plaintextOnThisMachine(hosts: String) throws {
        for scheme in ["rabbit", "amqp"] {
            let url = try TransportURL("\(scheme)://\(hosts)/")
            #expect(url.tls == nil && url.plaintextHosts.isEmpty)
            #expect(!url.description.contains("ssl="))
        }
    }

    /// Names are not looked up, because the answer may change.
    @Test(
        "Plaintext to another machine is an error unless the URL disables TLS",
        arguments: [
            "192.0.2.10", "broker.example", "10.0.0.1:5672", "[2001:db8::1]", "[::]", "0.0.0.0", "128.0.0.1",
            "localhost.example", "127.0.0.1.example", "127.1", "[::ffff:127.0.0.1]", "localhost.",
            "127.0.0.1,u:hunter2@broker.example",
        ])
    func plaintextToAnotherMachine(hosts: String) throws {
        for scheme in ["rabbit", "amqp"] {
            let error = #expect(throws: TransportURLError.self) { try TransportURL("\(scheme)://u:hunter2@\(hosts)/v") }
            #expect(error?.code == .plaintext)
            #expect(error?.description.contains("?ssl=1") == true && error?.description.contains("?ssl=0") == true)
            #expect(error?.description.contains("hunter2") == false)
            for option in ["ssl=0", "ssl=false", "ssl=no", "heartbeat_rate=1&ssl=off"] {
                let url = try TransportURL("\(scheme)://u:hunter2@\(hosts)/v?\(option)")
                #expect(url.tls == nil && url.plaintextHosts.count == 1)
                #expect(url.description.hasSuffix("/v?ssl=0"))
            }
            // An empty value counts as absent.
            #expect(throws: TransportURLError.self) { try TransportURL("\(scheme)://\(hosts)/?ssl=") }
            #expect(try TransportURL("\(scheme)://\(hosts)/?ssl=1").plaintextHosts.isEmpty)
        }
    }

    @Test("A URL that is rejected for plaintext can be printed without its passwords")
    func shown() {
        #expect(TransportURL.shown("rabbit://u:hunter2@h/v") == "rabbit://u:***@h:5672/v?ssl=0")
        #expect(TransportURL.shown("rabbit://u:hunter2@localhost/") == "rabbit://u:***@localhost:5672/")
        #expect(TransportURL.shown("hunter2") == "***")
    }

    @Test("No printed form of a URL contains a password")
    func secrecy() throws {
        let url = try TransportURL("rabbit://user:sesame-1@one,b:sesame-2@two/v?ssl=1")
        #expect(url.description == "rabbit://user:***@one:5671,b:***@two:5671/v?ssl=1")
        var dumped = ""
        dump(url, to: &dumped)
        dump(PublisherConfiguration(transportURL: url, exchange: "x"), to: &dumped)
        dump(url.hosts, to: &dumped)
        let configuration = PublisherConfiguration(transportURL: url, exchange: "x")
        let texts = [
            "\(url)", String(reflecting: url), "\(url.hosts)", String(reflecting: url.hosts), "\(configuration)",
            String(reflecting: configuration), dumped, "\(Mirror(reflecting: url.hosts[0].password).children.count)",
        ]
        for text in texts { #expect(!text.contains("sesame"), "\(text)") }
        #expect(url.hosts[0].password.revealed == "sesame-1")
    }

    /// A password that is not percent-encoded is split at its delimiters.
    @Test(
        "An error never quotes a part of a password",
        arguments: ["/", "?", "#", ",", ":", "@", "%", "[", " ", "&", "=", "\u{7F}", "é", "/?#", "@,:", "?a=b&", "%zz"])
    func piecesOfPasswords(delimiter: String) {
        for url in [
            "rabbit://user:hunter\(delimiter)sesame@host:5672/vhost?ssl=1",
            "rabbit://user:12\(delimiter)sesame@host:5672/vhost",
            "rabbit://a:b@h,user:hunter\(delimiter)sesame@host",
            "hunter\(delimiter)sesame://user@host",
        ] {
            do throws(TransportURLError) {
                let taken = try TransportURL(url)
                #expect(!"\(taken) \(taken.hosts) \(taken.ignoredOptions)".contains("sesame"), "\(url)")
            } catch {
                #expect(!error.description.contains("sesame"), "\(url)")
            }
        }
    }

    @Test("Any string is parsed as a URL or rejected with an error", arguments: UInt64(1)...50)
    func hostile(seed: UInt64) {
        var generator = Seeded(seed)
        let pieces = [
            "rabbit", "amqps", "://", ":", "/", "?", "#", "@", ",", "[", "]", "%", "%4", "%41", "%FF", "%00", "&", "=",
            "ssl", "ssl=1", "ssl_ca_file", "5672", "99999999999999999999", "-1", "+5", "host", "::1", "\u{0}",
            "\u{301}",
            "é", "🐰", "\r\n", " ", "user:pw@", String(repeating: "x", count: 300),
        ]
        for _ in 0..<500 {
            var text = Bool.random(using: &generator) ? "rabbit://" : ""
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                text += pieces.randomElement(using: &generator) ?? ""
            }
            do throws(TransportURLError) {
                let url = try TransportURL(text)
                #expect(!url.hosts.isEmpty)
                #expect(url.hosts.allSatisfy { !$0.name.isEmpty && $0.port > 0 && !$0.user.isEmpty })
                #expect(!url.virtualHost.isEmpty)
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
    }
}
