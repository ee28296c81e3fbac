// SPDX-License-Identifier: Apache-2.0

// select IP PORT: one process and select, as tutorials have it. It sets no SO_REUSEADDR, and every
// error of a call is its end. Each line of its log is one of a client.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int must(int result, const char *call) {
	if (result < 0) {
		perror(call);
		exit(1);
	}
	return result;
}

int main(int argc, char **argv) {
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *address;
	if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &address) != 0) {
		return 2;
	}
	int listener = must(socket(address->ai_family, SOCK_STREAM, 0), "socket");
	must(bind(listener, address->ai_addr, address->ai_addrlen), "bind");
	must(listen(listener, 3), "listen");

	fd_set open, ready;
	FD_ZERO(&open);
	FD_SET(listener, &open);
	for (;;) {
		ready = open;
		must(select(FD_SETSIZE, &ready, NULL, NULL, NULL), "select");
		for (int fd = 0; fd < FD_SETSIZE; fd++) {
			if (!FD_ISSET(fd, &ready)) {
				continue;
			}
			if (fd == listener) {
				int client = must(accept(listener, NULL, NULL), "accept");
				FD_SET(client, &open);
				continue;
			}
			char bytes[1024];
			int count = must(read(fd, bytes, sizeof bytes), "read");
			if (count == 0) {
				close(fd);
				FD_CLR(fd, &open);
				continue;
			}
			fprintf(stderr, "descriptor %d: %d bytes\n", fd, count);
			must(write(fd, bytes, count), "write");
		}
	}
}
