#ifndef C_CONDUCTOR_RABBITMQ_SHIM_H
#define C_CONDUCTOR_RABBITMQ_SHIM_H

#include <amqp.h>

#endif
