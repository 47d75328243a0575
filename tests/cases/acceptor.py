import socket

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 9999))
s.listen(64)
keep = []
while True:
    c, a = s.accept()
    keep.append(c)
    keep[:-200] = []
