// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Settings

@Suite("Kubernetes service variables")
struct KubernetesServiceVariableTests {
    /// Returns the variables that the kubelet sets for a service with the cluster address 10.0.0.11 or fd00::b and the
    /// ports 9100 (named `metrics`), 53 over UDP and 7 over SCTP.
    private static func made(service: String, address: String) -> [String: String] {
        let host = address.contains(":") ? "[\(address)]" : address
        var variables = [
            "\(service)_SERVICE_HOST": address, "\(service)_SERVICE_PORT": "9100",
            "\(service)_SERVICE_PORT_METRICS": "9100", "\(service)_SERVICE_PORT_DNS_UDP": "53",
            "\(service)_PORT": "tcp://\(host):9100",
        ]
        for (port, transport) in [("9100", "tcp"), ("53", "udp"), ("7", "sctp")] {
            let name = "\(service)_PORT_\(port)_\(transport.uppercased())"
            variables[name] = "\(transport)://\(host):\(port)"
            variables["\(name)_PROTO"] = transport
            variables["\(name)_PORT"] = port
            variables["\(name)_ADDR"] = address
        }
        return variables
    }

    @Test(
        "Service variables are ignored, even if a setting could have such a name",
        arguments: [
            "CONDUCTOR", "CONDUCTOR_METRICS", "CONDUCTOR_LISTEN", "CONDUCTOR_1", "CONDUCTOR_LISTEN_PORT",
            "CONDUCTOR_SERVICE", "CONDUCTOR_LISTEN_SERVICE",
        ], ["10.0.0.11", "fd00::b"])
    func ignored(service: String, address: String) async throws {
        let environment = Self.made(service: service, address: address)
        let settings = try await SettingsFixture.load("listen: {port: 17}", environment: environment)
        #expect(try settings.integer("listen.port") == 17)
        #expect(settings.describe().matches(of: /environment/).isEmpty)
    }

    @Test("A setting whose name looks like a service variable can be set by its variable")
    func settable() async throws {
        let settings = try await SettingsFixture.load(environment: ["CONDUCTOR_LISTEN_PORT": "18"])
        #expect(try settings.integer("listen.port") == 18)
    }

    @Test(
        "A variable that only resembles a service variable is rejected as a mistake",
        arguments: [
            ("CONDUCTOR_PORT", "8790"), ("CONDUCTOR_SERVICE_HOST", "db.example"), ("CONDUCTOR_SERVICE_PORT", "0"),
            ("CONDUCTOR_SERVICE_PORT", "99999"), ("CONDUCTOR_SERVICE_PORT", "+80"), ("CONDUCTOR_SERVICE_PORT", ""),
            ("CONDUCTOR_SERVICE_PORT_", "80"), ("CONDUCTOR_SERVICE", "10.0.0.1"), ("CONDUCTOR_HOST", "10.0.0.1"),
            ("CONDUCTOR_LISTEN_PROT", "tcp://10.0.0.1:80"), ("CONDUCTOR_LISTEN_PORT", "tcp://10.0.0.1"),
            ("CONDUCTOR_LISTEN_PORT", "http://10.0.0.1:80"), ("CONDUCTOR_LISTEN_PORT", "tcp://h:80"),
            ("CONDUCTOR_PORT_80_TCP", "udp://10.0.0.1:80"), ("CONDUCTOR_PORT_80_TCP", "tcp://10.0.0.1:81"),
            ("CONDUCTOR_PORT_80_TCP_PROTO", "udp"), ("CONDUCTOR_PORT_80_TCP_PORT", "81"),
            ("CONDUCTOR_PORT_80_TCP_ADDR", "x"), ("CONDUCTOR_PORT_X_TCP", "tcp://10.0.0.1:80"),
            ("CONDUCTOR_PORT_80_ICMP", "icmp://10.0.0.1:80"), ("CONDUCTOR_PORT_80_TCP_X", "80"),
        ])
    func mistakes(name: String, value: String) async throws {
        let problems = try await SettingsFixture.problems(environment: [name: value])
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.message.contains(name) == true)
    }
}
