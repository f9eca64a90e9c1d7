#ifndef C_CONDUCTOR_OPENSSL_SHIM_H
#define C_CONDUCTOR_OPENSSL_SHIM_H

#include <openssl/ssl.h>

#endif
