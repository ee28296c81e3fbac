/*
 * A fork-per-connection echo server: a SIGCHLD handler without SA_RESTART that
 * waits for all children, accept, fork, and a child that echoes until the end of
 * the stream.
 *
 * Usage: server PORT
 */
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
	char buffer[4096];

	for (;;) {
		ssize_t n = read(conn, buffer, sizeof buffer);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0;
		for (ssize_t sent = 0, m; sent < n; sent += m) {
			m = write(conn, buffer + sent, n - sent);
			if (m < 0 && errno != EINTR)
				return 1;
			if (m < 0)
				m = 0;
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = reap};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128) ||
	    sigaction(SIGCHLD, &action, NULL)) {
		perror("server");
		return 1;
	}
	for (;;) {
		int conn = accept(listener, NULL, NULL);

		if (conn < 0) {
			if (errno == EINTR)
				continue;
			perror("accept");
			return 1;
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
