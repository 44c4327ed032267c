package bed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// freePorts returns that many TCP ports that nobody listens on. They lie below the range from which the system takes
// ports for outgoing connections: a component that a test has stopped finds its port free when it starts again.
func freePorts(count int) ([]int, error) {
	const lowest, highest, tries = 20000, 32000, 1000
	var ports []int
	for range tries {
		port := lowest + rand.IntN(highest-lowest)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		// All are held until the last is found, so that none is given twice.
		defer listener.Close()
		if ports = append(ports, port); len(ports) == count {
			return ports, nil
		}
	}
	return nil, errors.New("found no free TCP ports")
}
