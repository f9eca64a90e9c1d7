import Testing

@testable import Settings

@Suite("Redacted transport URLs")
struct TransportURLTests {
    @Test(
        "Readable URLs lose their passwords only",
        arguments: [
            ("rabbit://broker:5672/trove", "rabbit://broker:5672/trove"),
            ("rabbit://user:pw@broker:5672/trove", "rabbit://user:***@broker:5672/trove"),
            ("rabbit://u:p@one:1,u:q@two:2/v", "rabbit://u:***@one:1,u:***@two:2/v"),
            ("rabbit://u:p@one,two/v", "rabbit://u:***@one,two/v"),
            ("rabbit://u:p%40%2F@[::1]:5672/", "rabbit://u:***@[::1]:5672/"),
            ("amqps://token@broker/?password=pw", "amqps://***@broker/?***"),
            ("rabbit://u:@broker/", "rabbit://u:***@broker/"),
            ("rabbit:///", "rabbit:///"),
            ("kombu+memory://", "kombu+memory://"),
        ])
    func readable(_ url: String, _ shown: String) {
        #expect(TransportURL.redacted(url) == shown)
    }

    @Test(
        "Of anything ambiguous nothing is shown",
        arguments: [
            "rabbit://u:se/cret@broker/v", "rabbit://u:se#cret@broker/", "rabbit://u:se?cret@broker/",
            "rabbit://u:se@cret@broker/", "rabbit://u:12,34@broker/", "rabbit://u:secret", "u:secret@broker", "secret",
            "",
            "://u:secret@x", "rabbit//u:secret@x", "rabbit://u:secret@bro ker/",
        ])
    func ambiguous(_ url: String) {
        let shown = TransportURL.redacted(url)
        #expect(shown == "***" || shown == "rabbit://***")
    }
}
