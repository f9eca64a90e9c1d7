// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOPosix

/// The event loops that tests use: those of the process.
package enum TestEventLoops {
    /// The group.
    package static var group: any EventLoopGroup { MultiThreadedEventLoopGroup.singleton }
}
