package tcpclient

// A service is what the server does with the bytes of a message.
type service string

const (
	echo  service = "echo"  // sends them back
	upper service = "upper" // sends them back with a-z as A-Z
)

// reply turns the bytes of a message into the bytes of its reply, in place.
func (s service) reply(message []byte) {
	if s != upper {
		return
	}
	for i, b := range message {
		if 'a' <= b && b <= 'z' {
			message[i] = b - 'a' + 'A'
		}
	}
}
