package bed

import (
	"encoding/json"
	"errors"
	"net/http"
	"syscall"
)

// control serves the tests: it stops and starts single components.
//
//	POST /stop/{component}[?signal=TERM]   SIGKILL unless told otherwise; answers when the process has ended
//	POST /start/{component}                same arguments and port; answers when the component is ready
//	GET  /pid/{component}
//
// The answer is 200 with {"component", "pid"}, 404 for a name that is none, 409 where there is nothing to do, 500 with
// {"error"} where it failed.
func control(components []*component) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, act func(*component, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			for _, c := range components {
				if c.name == r.PathValue("component") {
					answer(w, c, act(c, r))
					return
				}
			}
			http.NotFound(w, r)
		})
	}
	handle("POST /stop/{component}", func(c *component, r *http.Request) error {
		if r.URL.Query().Get("signal") == "TERM" {
			return c.stop(syscall.SIGTERM)
		}
		return c.stop(syscall.SIGKILL)
	})
	handle("POST /start/{component}", func(c *component, r *http.Request) error { return c.start(r.Context()) })
	handle("GET /pid/{component}", func(c *component, _ *http.Request) error {
		_, err := c.pid()
		return err
	})
	return mux
}

func answer(w http.ResponseWriter, c *component, err error) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"component": c.name}
	switch pid, pidErr := c.pid(); {
	case errors.Is(err, errNotRunning) || errors.Is(err, errRunsAlready):
		w.WriteHeader(http.StatusConflict)
		body["error"] = err.Error()
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
		body["error"] = err.Error()
	case pidErr == nil:
		body["pid"] = pid
	}
	_ = json.NewEncoder(w).Encode(body)
}
