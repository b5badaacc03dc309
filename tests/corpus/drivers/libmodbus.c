// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server thread and a client on loopback: bits and registers read, written, masked, exchanged; requests
 * that the server must refuse; raw requests; floats. The declarations are those of modbus.h 3.1.
 */
#include <errno.h>
#include <pthread.h>

#include "worker.h"

typedef struct modbus modbus_t;
typedef struct { int nb_bits, start_bits, nb_input_bits, start_input_bits, nb_input_registers,
                 start_input_registers, nb_registers, start_registers;
                 uint8_t *tab_bits, *tab_input_bits;
                 uint16_t *tab_input_registers, *tab_registers; } modbus_mapping_t;

modbus_t *modbus_new_tcp(const char *, int);
modbus_t *modbus_new_tcp_pi(const char *, const char *);
int modbus_tcp_listen(modbus_t *, int);
int modbus_tcp_accept(modbus_t *, int *);
int modbus_connect(modbus_t *);
void modbus_close(modbus_t *);
void modbus_free(modbus_t *);
int modbus_get_socket(modbus_t *);
int modbus_set_slave(modbus_t *, int);
int modbus_receive(modbus_t *, uint8_t *);
int modbus_reply(modbus_t *, const uint8_t *, int, modbus_mapping_t *);
int modbus_reply_exception(modbus_t *, const uint8_t *, unsigned int);
modbus_mapping_t *modbus_mapping_new_start_address(unsigned int, unsigned int, unsigned int, unsigned int,
                                                   unsigned int, unsigned int, unsigned int, unsigned int);
void modbus_mapping_free(modbus_mapping_t *);
int modbus_read_bits(modbus_t *, int, int, uint8_t *);
int modbus_read_input_bits(modbus_t *, int, int, uint8_t *);
int modbus_read_registers(modbus_t *, int, int, uint16_t *);
int modbus_read_input_registers(modbus_t *, int, int, uint16_t *);
int modbus_write_bit(modbus_t *, int, int);
int modbus_write_register(modbus_t *, int, uint16_t);
int modbus_write_bits(modbus_t *, int, int, const uint8_t *);
int modbus_write_registers(modbus_t *, int, int, const uint16_t *);
int modbus_mask_write_register(modbus_t *, int, uint16_t, uint16_t);
int modbus_write_and_read_registers(modbus_t *, int, int, const uint16_t *, int, int, uint16_t *);
int modbus_report_slave_id(modbus_t *, int, uint8_t *);
int modbus_send_raw_request(modbus_t *, const uint8_t *, int);
int modbus_receive_confirmation(modbus_t *, uint8_t *);
const char *modbus_strerror(int);

enum { START = 100, COUNT = 300, ROOM = 260 };

static int port;

static void serve_one(modbus_t *server, modbus_mapping_t *mapping)
{
        uint8_t request[ROOM];
        int size;

        while ((size = modbus_receive(server, request)) >= 0) {
                /* Function 0x41 is answered by an exception of the application's own. */
                if (size > 7 && request[7] == 0x41)
                        MUST(modbus_reply_exception(server, request, 1) > 0);
                else if (size > 0)
                        modbus_reply(server, request, size, mapping);
        }
        modbus_close(server);
}

static void *serve(void *context)
{
        modbus_t *server = context;
        modbus_mapping_t *mapping = modbus_mapping_new_start_address(START, COUNT, START, COUNT, START, COUNT, START,
                                                                     COUNT);
        int listener = modbus_tcp_listen(server, 4);

        MUST(mapping && listener >= 0);
        for (int i = 0; i < COUNT; i++) {
                mapping->tab_input_bits[i] = i % 3 == 0;
                mapping->tab_input_registers[i] = (uint16_t)(i * 7);
        }
        for (;;) {
                MUST(modbus_tcp_accept(server, &listener) >= 0);
                serve_one(server, mapping);
        }
        return NULL;
}

static void bits(modbus_t *client, int round)
{
        uint8_t values[COUNT], found[COUNT];

        for (int i = 0; i < 100; i++)
                values[i] = (uint8_t)((i + round) % 5 == 0);
        MUST(modbus_write_bits(client, START, 100, values) == 100);
        MUST(modbus_read_bits(client, START, 100, found) == 100 && !memcmp(values, found, 100));
        MUST(modbus_write_bit(client, START + 3, 1) == 1);
        MUST(modbus_read_bits(client, START + 3, 1, found) == 1 && found[0] == 1);
        MUST(modbus_read_input_bits(client, START, COUNT, found) == COUNT);
        for (int i = 0; i < COUNT; i++)
                MUST(found[i] == (i % 3 == 0));
        worker_ok();
}

static void registers(modbus_t *client, int round)
{
        uint16_t values[125], found[125];

        for (int i = 0; i < 120; i++)
                values[i] = (uint16_t)(i * round);
        MUST(modbus_write_registers(client, START, 120, values) == 120);
        MUST(modbus_read_registers(client, START, 120, found) == 120 && !memcmp(values, found, 240));
        MUST(modbus_write_register(client, START + 1, 0x1234) == 1);
        MUST(modbus_mask_write_register(client, START + 1, 0x00f0, 0x0a0a) == 1);
        MUST(modbus_read_registers(client, START + 1, 1, found) == 1);
        MUST(found[0] == ((0x1234 & 0x00f0) | (0x0a0a & ~0x00f0)));
        MUST(modbus_write_and_read_registers(client, START + 10, 3, values, START + 9, 5, found) == 5);
        MUST(!memcmp(found + 1, values, 6));
        MUST(modbus_read_input_registers(client, START + 5, 60, found) == 60 && found[59] == 64 * 7);
        worker_ok();
}

static void refused(modbus_t *client)
{
        static const uint8_t own[] = { 0xff, 0x41, 1, 2 };
        uint16_t found[125];
        uint8_t bytes[COUNT];
        int illegal_address = 112345678 + 2, r;

        MUST(modbus_read_registers(client, START + COUNT - 1, 2, found) == -1);
        MUST(errno == illegal_address && modbus_strerror(errno));
        MUST(modbus_read_bits(client, 0, 10, bytes) == -1 && errno == illegal_address);
        MUST(modbus_write_register(client, START - 1, 1) == -1 && errno == illegal_address);
        MUST(modbus_write_and_read_registers(client, START + COUNT, 2, found, START, 2, found) == -1);
        MUST(modbus_read_registers(client, START, 126, found) == -1 && errno == 112345678 + 16);
        r = modbus_report_slave_id(client, sizeof(bytes), bytes);
        MUST(r > 3 && bytes[1] == 0xff);
        MUST(modbus_send_raw_request(client, own, sizeof(own)) > 0);
        MUST(modbus_receive_confirmation(client, bytes) > 0 && bytes[7] == (0x41 | 0x80));
        worker_ok();
}

int main(int argc, char **argv)
{
        char service[16];
        modbus_t *server;
        pthread_t thread;

        MUST(argc == 2);
        port = atoi(argv[1]);
        snprintf(service, sizeof(service), "%d", port);
        server = modbus_new_tcp("127.0.0.1", port);
        MUST(server && !pthread_create(&thread, NULL, serve, server));
        for (int round = 1;; round++) {
                modbus_t *client = round % 2 ? modbus_new_tcp("127.0.0.1", port)
                                             : modbus_new_tcp_pi("127.0.0.1", service);
                struct timespec wait = { 0, 5000000 };

                MUST(client);
                for (int i = 0; modbus_connect(client) && i < 1000; i++)
                        nanosleep(&wait, NULL);
                MUST(modbus_get_socket(client) >= 0 && !modbus_set_slave(client, 0xff));
                for (int i = 0; i < 20; i++) {
                        bits(client, round);
                        registers(client, round);
                }
                refused(client);
                modbus_close(client);
                modbus_free(client);
        }
}
