// SPDX-License-Identifier: Apache-2.0

package import Logging

extension RelayCounters {
    /// Logs one line with all counters, whatever the logger's level: the line was requested, or it is the last one.
    ///
    /// Programs rely on the names and the numbers (Docs/operations.md), so no value has a space in it.
    package func log(_ message: Logger.Message, to logger: Logger) {
        var logger = logger
        logger.logLevel = min(logger.logLevel, .info)
        let fields = self.undeclaredFields.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
        var metadata: Logger.Metadata = [
            "received": "\(self.received)", "published": "\(self.published)", "duplicate": "\(self.duplicate)",
            "disabled": "\(self.disabled)", "rejected_total": "\(self.rejectedTotal)", "in_flight": "\(self.inFlight)",
            "pings": "\(self.pings)", "forgotten_operations": "\(self.forgottenOperations)",
            "balanced": "\(self.isBalanced)",
            "undeclared_fields_left_out": "\(fields.isEmpty ? "0" : fields.joined(separator: ","))",
        ]
        for (reason, count) in self.rejected { metadata["rejected_\(reason)"] = "\(count)" }
        logger.info(message, metadata: metadata)
    }
}
