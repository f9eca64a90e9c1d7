// SPDX-License-Identifier: Apache-2.0

#ifndef C_CONDUCTOR_RABBITMQ_SHIM_H
#define C_CONDUCTOR_RABBITMQ_SHIM_H

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// amqp_ssl_socket_get_context returns an SSL_CTX *, and these calls are all that this module needs of OpenSSL. They are
// declared, not included, so that this module does not bring a second copy of OpenSSL's headers.
struct bio_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct X509_VERIFY_PARAM_st;
int SSL_CTX_set_default_verify_paths(struct ssl_ctx_st *context);
struct X509_VERIFY_PARAM_st *SSL_CTX_get0_param(struct ssl_ctx_st *context);
int X509_VERIFY_PARAM_set1_ip_asc(struct X509_VERIFY_PARAM_st *parameters, const char *address);
int SSL_CTX_use_certificate_chain_file(struct ssl_ctx_st *context, const char *file);
int SSL_CTX_use_PrivateKey(struct ssl_ctx_st *context, struct evp_pkey_st *key);
struct bio_st *BIO_new_mem_buf(const void *bytes, int length);
int BIO_free(struct bio_st *bio);
struct evp_pkey_st *PEM_read_bio_PrivateKey(struct bio_st *bio, struct evp_pkey_st **key,
                                            int (*passphrase)(char *, int, int, void *), void *data);
void EVP_PKEY_free(struct evp_pkey_st *key);

// A GNU extension that Swift does not see. The name has at most 15 bytes.
int pthread_setname_np(pthread_t thread, const char *name);
static inline void conductor_name_thread(pthread_t thread, const char *name) { pthread_setname_np(thread, name); }

// Makes the socket trust the CAs of the system. Returns 0 when OpenSSL fails.
static inline int conductor_amqp_trust_system(amqp_socket_t *socket) {
    return SSL_CTX_set_default_verify_paths((struct ssl_ctx_st *)amqp_ssl_socket_get_context(socket)) == 1;
}

// Gives no passphrase. OpenSSL's own function would ask for one at the terminal.
static inline int conductor_amqp_no_passphrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1;
}

// Makes the socket present the certificates of a file, and use the private key of these bytes (PEM). Returns 0 when
// OpenSSL fails. amqp_ssl_socket_set_key would open the key's file again: it may be another one than the file that was
// checked. amqp_ssl_socket_set_key_buffer of librabbitmq 0.11 accepts RSA keys only.
static inline int conductor_amqp_use_key(amqp_socket_t *socket, const char *certificates, const void *key, int length) {
    struct ssl_ctx_st *context = (struct ssl_ctx_st *)amqp_ssl_socket_get_context(socket);
    if (SSL_CTX_use_certificate_chain_file(context, certificates) != 1) return 0;
    struct bio_st *bio = BIO_new_mem_buf(key, length);
    if (bio == NULL) return 0;
    struct evp_pkey_st *parsed = PEM_read_bio_PrivateKey(bio, NULL, conductor_amqp_no_passphrase, NULL);
    int used = parsed != NULL && SSL_CTX_use_PrivateKey(context, parsed) == 1;
    EVP_PKEY_free(parsed);
    BIO_free(bio);
    return used;
}

// Makes OpenSSL itself check the certificate for an IP address: librabbitmq compares DNS names only, and would reject
// every certificate of a host that is given by address. Returns 0 when `host` is not an address.
static inline int conductor_amqp_expect_address(amqp_socket_t *socket, const char *host) {
    struct ssl_ctx_st *context = (struct ssl_ctx_st *)amqp_ssl_socket_get_context(socket);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), host) == 1;
}

// Logs in by PLAIN (amqp_login_with_properties is variadic, and Swift cannot call such functions). Announces the
// capability connection.blocked, and a name by which the operator finds this connection in the broker's list.
static inline amqp_rpc_reply_t conductor_amqp_login(amqp_connection_state_t state, const char *vhost, int heartbeat,
                                                    const char *user, const char *password, const char *product,
                                                    const char *connection_name) {
    amqp_table_entry_t capabilities[1];
    memset(capabilities, 0, sizeof(capabilities));
    capabilities[0].key = amqp_cstring_bytes("connection.blocked");
    capabilities[0].value.kind = AMQP_FIELD_KIND_BOOLEAN;
    capabilities[0].value.value.boolean = 1;

    amqp_table_entry_t entries[3];
    memset(entries, 0, sizeof(entries));
    entries[0].key = amqp_cstring_bytes("product");
    entries[0].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[0].value.value.bytes = amqp_cstring_bytes(product);
    entries[1].key = amqp_cstring_bytes("connection_name");
    entries[1].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[1].value.value.bytes = amqp_cstring_bytes(connection_name);
    entries[2].key = amqp_cstring_bytes("capabilities");
    entries[2].value.kind = AMQP_FIELD_KIND_TABLE;
    entries[2].value.value.table.num_entries = 1;
    entries[2].value.value.table.entries = capabilities;

    amqp_table_t properties;
    properties.num_entries = 3;
    properties.entries = entries;
    // Frames of 128 KiB are the default of both the library and the broker; 2 channels are used.
    return amqp_login_with_properties(state, vhost, 16, 131072, heartbeat, &properties, AMQP_SASL_METHOD_PLAIN, user,
                                      password);
}

// Returns x-queue-type=quorum as a table for queue.declare. `entry` is the caller's storage and must outlive the table.
static inline amqp_table_t conductor_amqp_quorum_arguments(amqp_table_entry_t *entry) {
    memset(entry, 0, sizeof(*entry));
    entry->key = amqp_cstring_bytes("x-queue-type");
    entry->value.kind = AMQP_FIELD_KIND_UTF8;
    entry->value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_table_t table;
    table.num_entries = 1;
    table.entries = entry;
    return table;
}

#endif
