package bed

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second
	stopTimeout  = 90 * time.Second
	restartDelay = time.Second
	tailLines    = 20
)

// component is a process of the control plane. One that was started and dies by itself is started again.
type component struct {
	name    string
	command []string
	folder  string
	ready   func(context.Context) error

	// operation is held while the component is started or stopped for someone.
	operation sync.Mutex
	mutex     sync.Mutex
	running   *process
}

type process struct {
	*os.Process
	// stopped is set before a signal is sent: the end that follows is wanted. This and dead are under the mutex of the
	// component.
	stopped, dead bool
	ended         chan struct{}
}

var (
	errNotRunning  = errors.New("not running")
	errRunsAlready = errors.New("runs already")
)

// start returns when the component is ready, or stops it and says why it is not.
func (c *component) start(ctx context.Context) error {
	c.operation.Lock()
	defer c.operation.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := c.launch()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	for {
		err := c.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			c.kill(syscall.SIGKILL)
			return fmt.Errorf("%s ended before it was ready; the end of its log:\n%s", c.name, c.tail())
		case <-ctx.Done():
			c.kill(syscall.SIGKILL)
			<-p.ended
			return fmt.Errorf("%s did not become ready: %w; the end of its log:\n%s", c.name, err, c.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop sends the signal and waits for the end.
func (c *component) stop(signal syscall.Signal) error {
	c.operation.Lock()
	defer c.operation.Unlock()
	p := c.kill(signal)
	if p == nil {
		return errNotRunning
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("%s did not end within %s", c.name, stopTimeout)
	}
}

// kill sends the signal to the process, if there is one, and lets it not be started again.
func (c *component) kill(signal syscall.Signal) *process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	p := c.running
	if p == nil {
		return nil
	}
	p.stopped = true
	if p.dead {
		c.running = nil
	} else {
		_ = p.Signal(signal)
	}
	return p
}

func (c *component) pid() (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running == nil || c.running.dead {
		return 0, errNotRunning
	}
	return c.running.Pid, nil
}

func (c *component) logPath() string { return filepath.Join(c.folder, c.name+".log") }

func (c *component) launch() (*process, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running != nil {
		return nil, errRunsAlready
	}
	return c.launchLocked()
}

// launchLocked is launch for one who holds the mutex.
func (c *component) launchLocked() (*process, error) {
	output, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	command := exec.Command(c.command[0], c.command[1:]...)
	command.Dir = c.folder
	command.Stdout, command.Stderr = output, output
	// Nothing of the user's environment is passed on: a proxy, or settings in the home folder, would change what runs.
	command.Env = []string{"HOME=" + c.folder, "PATH=" + os.Getenv("PATH")}
	// A group of its own keeps Ctrl-C in a terminal away from it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := startOnLastingThread(command); err != nil {
		return nil, err
	}
	p := &process{Process: command.Process, ended: make(chan struct{})}
	c.running = p
	go c.watch(p, command)
	return p, nil
}

// watch waits for the end of the process, and starts another if nobody wanted it to end.
func (c *component) watch(p *process, command *exec.Cmd) {
	err := command.Wait()
	c.mutex.Lock()
	p.dead = true
	wanted := p.stopped
	if wanted {
		c.running = nil
	}
	close(p.ended)
	c.mutex.Unlock()
	if wanted {
		return
	}
	log.Printf("%s ended by itself: %v", c.name, err)
	for again := true; again; {
		time.Sleep(restartDelay)
		again = c.relaunch(p)
	}
}

// relaunch starts the successor of a process that died, unless someone stopped the component in the meantime. It tells
// whether to try once more.
func (c *component) relaunch(p *process) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running != p {
		return false
	}
	_, err := c.launchLocked()
	if err != nil {
		log.Printf("%s: %v", c.name, err)
	}
	return err != nil
}

func (c *component) tail() string {
	content, err := os.ReadFile(c.logPath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

var threads = make(chan func())

// startOnLastingThread starts the command on a thread that never ends: Linux sends the signal of Pdeathsig when the
// thread that started the process ends, not only when the whole parent does.
func startOnLastingThread(command *exec.Cmd) error {
	result := make(chan error)
	threads <- func() { result <- command.Start() }
	return <-result
}

func init() {
	go func() {
		runtime.LockOSThread()
		for work := range threads {
			work()
		}
	}()
}
