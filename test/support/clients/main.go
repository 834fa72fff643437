// Go's net/http on both sides of a mesh, over HTTP/1.1 and HTTP/2 without TLS.
//
//	serve PORT                        an application that speaks both
//	ask PORT h1|h2c                   requests to a dependency; one JSON object on stdout
//	proxied NAME                      one request by the proxy of the environment
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "ask":
		ask("http://127.0.0.1:"+os.Args[2], os.Args[3] == "h2c")
	case "proxied":
		response, err := http.Get("http://" + os.Args[2] + "/proxied")
		check(err)
		body, err := io.ReadAll(response.Body)
		check(err)
		fmt.Printf("%d %s", response.StatusCode, body)
	}
}

func serve(port string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s %d %s", r.Method, r.Proto, len(body), r.Trailer.Get("X-Sum"))
	})
	mux.HandleFunc("/proxied", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for i := range 3 {
			fmt.Fprintf(w, "line %d\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
		w.Header().Set("X-Sum", "3")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprint(w, "too large")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "after hints")
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		block := bytes.Repeat([]byte("b"), 1<<16)
		for range 80 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	var cancelled sync.Map
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		cancelled.Store(r.URL.Query().Get("id"), true)
	})
	mux.HandleFunc("/cancelled", func(w http.ResponseWriter, r *http.Request) {
		_, ok := cancelled.Load(r.URL.Query().Get("id"))
		fmt.Fprint(w, ok)
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	server := http.Server{Addr: "127.0.0.1:" + port, Handler: mux, Protocols: protocols(true, true)}
	check(server.ListenAndServe())
}

func protocols(h1, h2c bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(h1)
	p.SetUnencryptedHTTP2(h2c)
	return p
}

func ask(base string, h2c bool) {
	client := http.Client{
		Transport: &http.Transport{Protocols: protocols(!h2c, h2c), MaxIdleConnsPerHost: 64, ExpectContinueTimeout: 5 * time.Second},
		Timeout:   15 * time.Second,
	}
	report := map[string]any{}
	do := func(request *http.Request) (*http.Response, string) {
		response, err := client.Do(request)
		check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(err)
		return response, string(body)
	}
	request := func(method, path string, body io.Reader) *http.Request {
		r, err := http.NewRequest(method, base+path, body)
		check(err)
		return r
	}

	response, body := do(request("GET", "/echo", nil))
	report["get"] = body
	report["proto"] = response.Proto
	response, body = do(request("HEAD", "/echo", nil))
	report["head"] = fmt.Sprint(response.StatusCode, len(body))
	_, report["post"] = do(request("POST", "/echo", bytes.NewReader(make([]byte, 1<<20))))
	// A reader of no known length: chunks, or DATA frames without content-length; with trailers behind.
	r := request("PUT", "/echo", io.MultiReader(bytes.NewReader(make([]byte, 1<<20))))
	r.Trailer = http.Header{"X-Sum": {"1048576"}}
	_, report["trailers-up"] = do(r)
	r = request("POST", "/echo", bytes.NewReader(make([]byte, 1000)))
	r.Header.Set("Expect", "100-continue")
	_, report["expect"] = do(r)

	response, body = do(request("GET", "/stream", nil))
	report["stream"] = body + response.Trailer.Get("X-Sum")
	response, body = do(request("POST", "/early", bytes.NewReader(make([]byte, 8<<20))))
	report["early"] = fmt.Sprint(response.StatusCode, " ", body)
	_, body = do(request("GET", "/bytes", nil))
	report["bytes"] = len(body)

	hints := ""
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		hints = fmt.Sprint(code, " ", strings.Join(header["Link"], ","))
		return nil
	}}
	_, body = do(request("GET", "/hints", nil).WithContext(httptrace.WithClientTrace(context.Background(), trace)))
	report["hints"] = hints + " " + body

	// A client that gives up is seen to by the application.
	ctx, cancel := context.WithCancel(context.Background())
	hanging, err := client.Do(request("GET", "/hang?id="+fmt.Sprint(h2c), nil).WithContext(ctx))
	check(err)
	cancel()
	hanging.Body.Close()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, body = do(request("GET", "/cancelled?id="+fmt.Sprint(h2c), nil)); body == "true" {
			break
		}
	}
	report["cancelled"] = body

	// A response that breaks off is not taken for a whole one.
	broken, err := client.Do(request("GET", "/abort", nil))
	if err == nil {
		_, err = io.ReadAll(broken.Body)
		broken.Body.Close()
	}
	report["abort"] = err != nil && !errors.Is(err, io.EOF)

	var group sync.WaitGroup
	answers := make([]string, 64)
	for i := range answers {
		group.Add(1)
		go func() {
			defer group.Done()
			_, answers[i] = do(request("POST", "/echo", bytes.NewReader(make([]byte, i*1000))))
		}()
	}
	group.Wait()
	right := 0
	for i, answer := range answers {
		if strings.Contains(answer, fmt.Sprintf(" %d ", i*1000)) {
			right++
		}
	}
	report["concurrent"] = right
	check(json.NewEncoder(os.Stdout).Encode(report))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
