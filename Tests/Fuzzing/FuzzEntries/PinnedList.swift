// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An authority whose key no longer exists, and the signed part of its revocation list in the corpus: any other list
/// that is accepted as the authority's was forged.
enum PinnedList {
    /// The authority's certificate.
    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBezCCASKgAwIBAgIUKTjeAWY81FhC1Ec8RfylyZFsz3gwCgYIKoZIzj0EAwIw
        GzEZMBcGA1UEAwwQRnV6emVkIGF1dGhvcml0eTAgFw0yNjExMjEyMDM5NTZaGA8y
        MTI2MTAyODIwMzk1NlowGzEZMBcGA1UEAwwQRnV6emVkIGF1dGhvcml0eTBZMBMG
        ByqGSM49AgEGCCqGSM49AwEHA0IABHB8XOt6ARKvPB9zxIswNSStbNvb2J6lRMOV
        i8/OUBzCXVzo8Xejue8hjEKUZzwWLeom6/pvzfy1vM8FlxddJLujQjBAMA8GA1Ud
        EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBRjk68Tsw+PFKoE
        NYOohQ39GltuFzAKBggqhkjOPQQDAgNHADBEAiBLPZytiWsmQy2eWBkXtMSH0eHe
        Nvky9P4KwYQtKY02DQIgCplMo2i1Y2VTQDCSeMNy9RbtUWoebqRPRrlc1f0kSxs=
        -----END CERTIFICATE-----

        """

    /// The list without its signature (`tbsCertList`).
    static let signedPart = Array(
        Data(
            base64Encoded:
                "MIGUAgEBMAoGCCqGSM49BAMCMBsxGTAXBgNVBAMMEEZ1enplZCBhdXRob3JpdHkXDTI2MTEyMTIwMzk1OFoYDzIxMjYxMDI4MjAz"
                + "OTU4WjAVMBMCAhABFw0yNjExMjEyMDM5NThaoC8wLTAfBgNVHSMEGDAWgBRjk68Tsw+PFKoENYOohQ39GltuFzAKBgNVHRQEAwIBAQ=="
        ) ?? Data())
}
