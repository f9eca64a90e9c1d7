// SPDX-License-Identifier: Apache-2.0

package import Logging

extension Logger {
    /// A logger that discards everything, for code whose messages a test does not examine.
    package static let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
}
