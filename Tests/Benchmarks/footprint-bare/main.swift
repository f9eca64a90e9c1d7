// SPDX-License-Identifier: Apache-2.0

// What a Swift program weighs that does nothing: Tests/Benchmarks/footprint compares with it. It ends with its standard input.
import Glibc

print("Operations may begin")
fflush(nil)
_ = readLine()
