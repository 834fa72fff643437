/** PEM files, one chain for each side of a link. */
export interface CredentialFiles {
  ca: string;
  clientCert: string;
  clientKey: string;
  /** Certificate and key in one, as haproxy wants them. */
  clientPem: string;
  serverCert: string;
  serverKey: string;
  serverPem: string;
}

/** Ports of the backends that every path ends at. */
export interface AppPorts {
  h1: number;
  h2: number;
  /** Takes uploads, paths below /upload. */
  sink: number;
}

/** One process without workers: its CPU time is all there is. */
const nginxMain = (dir: string): string => `
daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.err;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
`;

const nginxHttp = (dir: string): string => `
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
`;

/** Answers with `json`, or with the file of that name in `dir`/www. */
export function nginxBackend(dir: string, ports: { h1: number; h2: number }, json: string): string {
  const location = `location / { default_type application/json; return 200 '${json}'; }
    location /files/ { root ${dir}/www; default_type application/octet-stream; }`;
  return `${nginxMain(dir)}
http { ${nginxHttp(dir)}
  sendfile on; tcp_nopush on; open_file_cache max=16;
  server { listen 127.0.0.1:${ports.h1}; ${location} }
  server { listen 127.0.0.1:${ports.h2} http2; http2_max_concurrent_streams 1000; ${location} }
}
`;
}

/** Two hops over HTTP/1.1 with mutual TLS; bodies are streamed, as in every other proxy here. */
export function nginxTwoHops(
  dir: string,
  app: AppPorts,
  ports: { front: number; inbound: number },
  files: CredentialFiles,
): string {
  const keep = 'keepalive 1024; keepalive_requests 100000000;';
  return `${nginxMain(dir)}
http { ${nginxHttp(dir)}
  upstream app { server 127.0.0.1:${app.h1}; ${keep} }
  upstream sink { server 127.0.0.1:${app.sink}; ${keep} }
  upstream link { server 127.0.0.1:${ports.inbound}; ${keep} }
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; proxy_max_temp_file_size 0; client_max_body_size 0;
  server { listen 127.0.0.1:${ports.front};
    location / { proxy_pass https://link; proxy_ssl_certificate ${files.clientCert}; proxy_ssl_certificate_key ${files.clientKey};
      proxy_ssl_trusted_certificate ${files.ca}; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name localhost; } }
  server { listen 127.0.0.1:${ports.inbound} ssl; ssl_certificate ${files.serverCert}; ssl_certificate_key ${files.serverKey};
    ssl_client_certificate ${files.ca}; ssl_verify_client on; ssl_verify_depth 2; ssl_protocols TLSv1.2 TLSv1.3;
    location / { proxy_pass http://app; }
    location /upload { proxy_pass http://sink; } }
}
`;
}

export interface HaproxyPorts {
  h1: number;
  h2: number;
  inbound1: number;
  inbound2: number;
}

/** Two hops with an HTTP/2 link and mutual TLS; one thread. HTTP/2 stays HTTP/2 up to the backend. */
export function haproxyTwoHops(app: AppPorts, ports: HaproxyPorts, files: CredentialFiles): string {
  const link = `ssl alpn h2 crt ${files.clientPem} ca-file ${files.ca} verify required verifyhost localhost`;
  const inbound = `ssl alpn h2,http/1.1 crt ${files.serverPem} ca-file ${files.ca} verify required`;
  return `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend front1
  bind 127.0.0.1:${ports.h1}
  default_backend link1
frontend front2
  bind 127.0.0.1:${ports.h2} proto h2
  default_backend link2
backend link1
  server s 127.0.0.1:${ports.inbound1} ${link}
backend link2
  server s 127.0.0.1:${ports.inbound2} ${link}
frontend inbound1
  bind 127.0.0.1:${ports.inbound1} ${inbound}
  use_backend sink if { path_beg /upload }
  default_backend app1
frontend inbound2
  bind 127.0.0.1:${ports.inbound2} ${inbound}
  default_backend app2
backend app1
  server s 127.0.0.1:${app.h1}
backend sink
  server s 127.0.0.1:${app.sink}
backend app2
  server s 127.0.0.1:${app.h2} proto h2
`;
}
