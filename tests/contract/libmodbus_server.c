/* A Modbus TCP server made of libmodbus, for tests: one number in every byte and word order. Prints its port on the
 * first line of standard output; ends when its input ends. The orders are spelt out here: libmodbus' own
 * modbus_set_float_abcd() of release 3.1.6 puts other bytes on the wire than its name says. */
#include <modbus.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

/* 16-bit values at 0; 1000 + a at every register a from 64 on; 32-bit at 16, 18, 20, 22 (ABCD BADC CDAB DCBA); 64-bit at 32, 36, 40, 44. */
static void fill(modbus_mapping_t *map)
{
    uint16_t *registers = map->tab_registers;
    const uint8_t big[8] = {0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10};
    registers[0] = 0xFEDC;
    registers[1] = 0xDCFE;
    for (int order = 0; order < 4; order++) {
        for (int size = 4; size <= 8; size += 4) {
            uint8_t bytes[8];
            for (int at = 0; at < size; at++) {
                int word = at / 2, byte = at % 2;
                if (order >= 2)
                    word = size / 2 - 1 - word;
                if (order % 2)
                    byte = 1 - byte;
                bytes[at] = big[2 * word + byte];
            }
            uint16_t *to = registers + (size == 4 ? 16 + 2 * order : 32 + 4 * order);
            for (int word = 0; word < size / 2; word++)
                to[word] = (uint16_t) (bytes[2 * word] << 8 | bytes[2 * word + 1]);
        }
    }
    for (int at = 64; at < 128; at++)
        registers[at] = 1000 + at;
    memcpy(map->tab_input_registers, registers, 128 * sizeof *registers);
    for (int at = 0; at < 24; at++) {
        map->tab_bits[at] = 0xB5C3A1 >> at & 1;
        map->tab_input_bits[at] = !(0xB5C3A1 >> at & 1);
    }
}

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(24, 24, 128, 128);
    if (context == NULL || map == NULL)
        return 1;
    fill(map);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *) &address, length) || listen(listener, 1))
        return 1;
    getsockname(listener, (struct sockaddr *) &address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct pollfd waiting[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        poll(waiting, 2, -1);
        if (waiting[0].revents)
            break;
        if (modbus_tcp_accept(context, &listener) < 0)
            break;
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        for (int size; (size = modbus_receive(context, query)) >= 0;)
            if (size > 0)
                modbus_reply(context, query, size, map);
        modbus_close(context);
    }
    modbus_mapping_free(map);
    modbus_free(context);
    return 0;
}
