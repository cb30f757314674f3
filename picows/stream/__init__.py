"""Where bytes come from and go to: TCP and AF_UNIX sockets, TLS over them, the loop's transports."""
