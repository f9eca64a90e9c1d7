// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Request lines for attackers, including their line ends.
enum Requests {
    /// The tenant of every outcome.
    static let tenant = "t-h"

    /// Returns a `ping`.
    static func ping(id: String = "1") -> String { #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"# + "\n" }

    /// Returns an outcome of an instance.
    static func outcome(id: String, instance: String, messageID: String? = nil, database: String = "shop") -> String {
        let message = messageID.map { #","message_id":"\#($0)""# } ?? ""
        return
            #"{"jsonrpc":"2.0","id":\#(id),"method":"notify_end","params":{"context":{"operation":"database_create","#
            + #""request_id":"req-h","tenant_id":"\#(Self.tenant)","client_ip":"192.0.2.9","payload":{"instance_id":"\#(instance)","#
            + #""dbname":"\#(database)"}}\#(message)}}"# + "\n"
    }
}
