// SPDX-License-Identifier: Apache-2.0

// A Swift program that does nothing, for comparison in Tests/Benchmarks/footprint. It ends with its standard input.
import Glibc

print("Operations may begin")
fflush(nil)
_ = readLine()
