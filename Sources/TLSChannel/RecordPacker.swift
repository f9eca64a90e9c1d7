// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A packer of many small writes into full TLS records: one record for each write would cost ten times more than the
/// copy.
///
/// A packer lives for one flush. It does not copy large writes.
struct RecordPacker {
    /// The maximum number of plaintext bytes in one TLS record.
    static let recordBytes = 16_384

    private let engine: TLSEngine
    private var staging: ByteBuffer?

    init(engine: TLSEngine) {
        self.engine = engine
    }

    /// Encrypts these bytes, or keeps them for the next record. With `isLast`, nothing is kept. Returns the error of a
    /// failure.
    mutating func add(_ bytes: ByteBuffer, isLast: Bool) -> TLSError? {
        var rest = bytes
        if let staged = self.staging?.readableBytes, staged > 0 {
            // `readSlice` shares the memory; only the append copies.
            if var head = rest.readSlice(length: min(rest.readableBytes, Self.recordBytes - staged)) {
                self.staging?.writeBuffer(&head)
            }
            if self.staging?.readableBytes == Self.recordBytes || isLast, let failure = self.flushStaging() {
                return failure
            }
        }
        let direct = isLast ? rest.readableBytes : rest.readableBytes - rest.readableBytes % Self.recordBytes
        if direct > 0, let whole = rest.readSlice(length: direct), let failure = self.write(whole) { return failure }
        if rest.readableBytes > 0 {
            if self.staging == nil { self.staging = ByteBufferAllocator().buffer(capacity: Self.recordBytes) }
            self.staging?.writeBuffer(&rest)
        }
        return nil
    }

    private mutating func flushStaging() -> TLSError? {
        guard let staged = self.staging else { return nil }
        let failure = self.write(staged)
        // Drop the second reference first; otherwise clearing would allocate new memory.
        self.staging = nil
        var cleared = consume staged
        cleared.clear()
        self.staging = cleared
        return failure
    }

    private func write(_ bytes: ByteBuffer) -> TLSError? {
        if case .failed(let error) = self.engine.write(bytes) { return error }
        return nil
    }
}
