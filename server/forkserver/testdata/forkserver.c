/*
 * A fork-per-connection echo server in C, of the same design as the Go one:
 * SIGCHLD handler without SA_RESTART that waits for all, accept, fork, the
 * child closes the listener and echoes until end of file.
 *
 * Usage: forkserver PORT. It listens on 127.0.0.1 and prints a line when it does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal)
{
	int saved = errno;

	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

static int echo(int conn)
{
	static char buffer[64 << 10];

	for (;;) {
		ssize_t n = read(conn, buffer, sizeof buffer);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno != ECONNRESET;
		for (ssize_t sent = 0; sent < n;) {
			ssize_t m = send(conn, buffer + sent, n - sent, MSG_NOSIGNAL);
			if (m < 0 && errno == EINTR)
				continue;
			if (m < 0)
				return errno != EPIPE && errno != ECONNRESET;
			sent += m;
		}
	}
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = reap};
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof address;
	int one = 1;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0)
		fail("socket");
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one))
		fail("setsockopt");
	if (bind(listener, (struct sockaddr *)&address, sizeof address))
		fail("bind");
	if (listen(listener, 128))
		fail("listen");
	if (getsockname(listener, (struct sockaddr *)&address, &length))
		fail("getsockname");
	if (sigaction(SIGCHLD, &action, NULL))
		fail("sigaction");
	printf("listening on %d\n", ntohs(address.sin_port));
	fflush(stdout);

	for (;;) {
		struct sockaddr_in peer;
		socklen_t size = sizeof peer;
		int conn = accept(listener, (struct sockaddr *)&peer, &size);

		if (conn < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			fail("accept");
		}
		switch (fork()) {
		case 0:
			close(listener);
			_exit(echo(conn));
		case -1:
			perror("fork");
		}
		close(conn);
	}
}
