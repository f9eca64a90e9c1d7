// SPDX-License-Identifier: Apache-2.0

#ifndef C_CONDUCTOR_OPENSSL_SHIM_H
#define C_CONDUCTOR_OPENSSL_SHIM_H

// Wrappers for what Swift cannot import itself: function-like macros, variadic functions, 64-bit option bits and typed
// stacks. Everything else is called under its own name.

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/buffer.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3.0 or newer is needed"
#endif

// MARK: context

// Disables resumption (a ticket would outlive a revoked certificate), renegotiation, compression and early data.
static inline void conductor_ssl_ctx_harden(SSL_CTX *ctx) {
    SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_recv_max_early_data(ctx, 0);
    // The bytes of a write may move between two tries. An idle connection frees its record buffers (34 KiB). Only the
    // configured chain is sent: OpenSSL would add the root from the trust roots, which the peer either has or does not
    // trust.
    SSL_CTX_set_mode(
        ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
}

static inline int conductor_ssl_ctx_set_groups(SSL_CTX *ctx, const char *names) {
    return (int)SSL_CTX_set1_groups_list(ctx, names);
}

static inline int conductor_ssl_ctx_set_min_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}

static inline int conductor_ssl_ctx_add_chain_certificate(SSL_CTX *ctx, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(ctx, certificate);
}

// Lets any authority in the store end a chain, whichever authority has issued it.
static inline int conductor_ssl_ctx_trust_issuing_authorities(SSL_CTX *ctx) {
    return X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
}

// MARK: connection

static inline int conductor_ssl_set_sni(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

// MARK: memory BIOs

// Frees the memory that a burst has left in an empty BIO: a memory BIO only grows, and it lives as long as its
// connection.
static inline void conductor_bio_trim(BIO *bio, size_t limit) {
    BUF_MEM *memory = NULL;
    if (BIO_ctrl_pending(bio) != 0 || BIO_get_mem_ptr(bio, &memory) <= 0 || memory == NULL || memory->max <= limit) {
        return;
    }
    BUF_MEM *fresh = BUF_MEM_new();
    if (fresh != NULL) {
        BIO_set_mem_buf(bio, fresh, BIO_CLOSE);
    }
}

static inline long conductor_bio_memory(BIO *bio, char **bytes) {
    return BIO_get_mem_data(bio, bytes);
}

// MARK: keys and certificates

// Supplies no passphrase: OpenSSL would otherwise ask for one on the terminal and block a daemon.
static inline int conductor_no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static inline EVP_PKEY *conductor_new_p256_key(void) {
    return EVP_EC_gen("P-256");
}

static inline X509_EXTENSION *conductor_new_extension(X509 *issuer, X509 *subject, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, subject, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    return X509V3_EXT_conf_nid(NULL, &context, nid, value);
}

static inline int conductor_general_names_count(const GENERAL_NAMES *names) {
    return sk_GENERAL_NAME_num(names);
}

static inline const GENERAL_NAME *conductor_general_names_at(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}

// Takes ownership of the name, even when it fails.
static inline int conductor_general_names_push(GENERAL_NAMES *names, GENERAL_NAME *name) {
    if (sk_GENERAL_NAME_push(names, name) > 0) {
        return 1;
    }
    GENERAL_NAME_free(name);
    return 0;
}

// `type` is GEN_DNS, GEN_URI (IA5 text) or GEN_IPADD (4 or 16 octets).
static inline GENERAL_NAME *conductor_general_name_new(int type, const unsigned char *bytes, int length) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (name == NULL || value == NULL || ASN1_STRING_set(value, bytes, length) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return name;
}

// MARK: revocation lists

static inline int conductor_x509_stack_count(const STACK_OF(X509) *certificates) {
    return sk_X509_num(certificates);
}

static inline X509 *conductor_x509_stack_at(const STACK_OF(X509) *certificates, int index) {
    return sk_X509_value(certificates, index);
}

static inline void conductor_x509_stack_free(STACK_OF(X509) *certificates) {
    sk_X509_pop_free(certificates, X509_free);
}

// Returns the digest of a list's signature as a NID: NID_undef for a signature without one (Ed25519), -1 if it is
// unknown.
static inline int conductor_crl_digest(const X509_CRL *list) {
    const X509_ALGOR *algorithm = NULL;
    X509_CRL_get0_signature(list, NULL, &algorithm);
    int signature = X509_CRL_get_signature_nid(list), digest = NID_undef, key = NID_undef;
    if (signature == NID_rsassaPss) {
        // The signature's parameters name the digest; if they do not, it is SHA-1 (RFC 4055, section 3.1).
        int type = V_ASN1_UNDEF;
        const void *value = NULL;
        X509_ALGOR_get0(NULL, &type, &value, algorithm);
        if (type != V_ASN1_SEQUENCE) {
            return type == V_ASN1_UNDEF ? NID_sha1 : -1;
        }
        RSA_PSS_PARAMS *parameters =
            (RSA_PSS_PARAMS *)ASN1_item_unpack((const ASN1_STRING *)value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
        if (parameters == NULL) {
            return -1;
        }
        digest = parameters->hashAlgorithm == NULL ? NID_sha1 : OBJ_obj2nid(parameters->hashAlgorithm->algorithm);
        RSA_PSS_PARAMS_free(parameters);
        return digest == NID_undef ? -1 : digest;
    }
    return OBJ_find_sigid_algs(signature, &digest, &key) == 1 ? digest : -1;
}

static inline int conductor_crl_entry_count(X509_CRL *list) {
    int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(list));
    return count < 0 ? 0 : count;
}

static inline X509_REVOKED *conductor_crl_entry_at(X509_CRL *list, int index) {
    return sk_X509_REVOKED_value(X509_CRL_get_REVOKED(list), index);
}

static inline X509_EXTENSION *conductor_new_crl_extension(X509 *issuer, X509_CRL *list, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, NULL, NULL, list, 0);
    X509V3_set_ctx_nodb(&context);
    return X509V3_EXT_conf_nid(NULL, &context, nid, value);
}

static inline void conductor_openssl_free(void *memory) {
    OPENSSL_free(memory);
}

#endif
