import Foundation

/// The processor time that a running process has used.
enum ProcessorTime {
    /// - Parameter process: its id.
    /// - Returns: in microseconds, of all its threads that are there.
    static func used(by process: Int32) throws -> Double {
        let tasks = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { sum, thread in
            // A thread may end while one looks.
            let text = (try? String(contentsOfFile: "\(tasks)/\(thread)/schedstat", encoding: .utf8)) ?? ""
            guard let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) }) else { return sum }
            return sum + nanoseconds / 1000
        }
    }
}
