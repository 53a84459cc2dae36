/*
 * smtp-source under TLS, which Postfix's own can not: `tls_source PORT MESSAGES PROCESSES RECIPIENT
 * [reuse]` sends from as many processes, each message over a connection and a handshake of its own,
 * or all of a process over one. `tls_source PORT idle SESSIONS` opens sessions one after the other,
 * prints "open" and holds them until its input ends.
 *
 * It blocks, believes any certificate, resumes no session, and ends with 1 on the first surprise.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MOST = 65536, MESSAGE = 4096 };

/* One connection; `ssl` is NULL in the clear. */
struct client {
    int fd;
    SSL *ssl;
};

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const struct client *client, const char *text)
{
    size_t size = strlen(text);
    ssize_t sent = client->ssl != NULL ? SSL_write(client->ssl, text, (int)size)
                                       : send(client->fd, text, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size)
        give_up(text);
}

/* Replies never come in advance here, so a read ends where a reply does, or within it. */
static bool is_whole(const char *text, size_t size)
{
    size_t start = size - 1;
    if (size < 5 || text[size - 1] != '\n')
        return false;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    return text[start + 3] == ' ';
}

static void hear(const struct client *client, const char *code)
{
    char text[LINE_MOST];
    size_t size = 0;
    do {
        size_t room = sizeof(text) - size;
        ssize_t got = client->ssl != NULL ? SSL_read(client->ssl, text + size, (int)room)
                                          : recv(client->fd, text + size, room, 0);
        if (got <= 0)
            give_up("the server closed");
        size += (size_t)got;
    } while (!is_whole(text, size));
    if (strncmp(text, code, 3) != 0) {
        fprintf(stderr, "expected %s: %.*s\n", code, (int)size, text);
        exit(1);
    }
}

static void ask(const struct client *client, const char *line, const char *code)
{
    say(client, line);
    hear(client, code);
}

static struct client open_session(SSL_CTX *context, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client.fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("connect");
    (void)setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    hear(&client, "220");
    ask(&client, "EHLO client.example.org\r\n", "250");
    ask(&client, "STARTTLS\r\n", "220");
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, client.fd) != 1 || SSL_connect(ssl) != 1)
        give_up("handshake");
    client.ssl = ssl;
    ask(&client, "EHLO client.example.org\r\n", "250");
    return client;
}

static void close_session(struct client *client)
{
    ask(client, "QUIT\r\n", "221");
    SSL_free(client->ssl);
    (void)close(client->fd);
}

static void send_message(const struct client *client, const char *recipient, const char *message)
{
    ask(client, "MAIL FROM:<bench@example.org>\r\n", "250");
    ask(client, recipient, "250");
    ask(client, "DATA\r\n", "354");
    ask(client, message, "250");
}

static const char *make_message(void)
{
    static char text[MESSAGE + 8] = "Subject: bench\r\n\r\n";
    for (size_t i = strlen(text); i < MESSAGE; i++)
        text[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    memcpy(text + MESSAGE, "\r\n.\r\n", 6);
    return text;
}

static void send_all(SSL_CTX *context, char **arguments, bool reuse)
{
    int port = atoi(arguments[0]);
    long count = atol(arguments[1]) / atol(arguments[2]);
    char recipient[300];
    const char *message = make_message();
    struct client client = {.fd = -1};
    (void)snprintf(recipient, sizeof(recipient), "RCPT TO:<%s>\r\n", arguments[3]);
    for (long i = 0; i < count; i++) {
        if (!reuse || i == 0)
            client = open_session(context, port);
        send_message(&client, recipient, message);
        if (!reuse || i == count - 1)
            close_session(&client);
    }
}

/* Nothing refers to the sessions any more: they end with the process. */
static int idle(SSL_CTX *context, int port, long count)
{
    for (long i = 0; i < count; i++)
        (void)open_session(context, port);
    (void)printf("open\n");
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (argc < 4 || context == NULL)
        return 64;
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (strcmp(argv[2], "idle") == 0)
        return idle(context, atoi(argv[1]), atol(argv[3]));
    int processes = atoi(argv[3]), status, failed = 0;
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            send_all(context, argv + 1, argc > 5);
            _exit(0);
        }
    while (wait(&status) > 0)
        failed |= status;
    return failed != 0;
}
