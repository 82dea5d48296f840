package traffic

import (
	"fmt"
	"strings"
)

// nginx writes a whole nginx.conf. Backends are looked up by name as requests come, by Docker's own name server: where a container has
// got another address, or is not there yet, nothing need be loaded again.
// https://nginx.org/en/docs/http/ngx_http_split_clients_module.html
func nginx(s Split) string {
	live := s.live()
	var shares, known strings.Builder
	for n, b := range live {
		share := fmt.Sprintf("%d%%", b.Weight)
		if n == len(live)-1 {
			share = "*"
		}
		fmt.Fprintf(&shares, "\t\t%s %s;\n", share, b.address())
		fmt.Fprintf(&known, "\t\t%[1]s %[1]s;\n", b.address())
	}
	backend, cookie := "$drawn", ""
	if s.Sticky {
		backend = "$kept"
		cookie = fmt.Sprintf("\tmap $cookie_%s $kept {\n\t\tdefault $drawn;\n%s\t}\n\tadd_header Set-Cookie \"%[1]s=$kept; Path=/; HttpOnly; SameSite=Lax\" always;\n", s.cookie(), known.String())
	}
	return fmt.Sprintf(`user nobody root;
worker_processes 2;
pid /tmp/nginx.pid;
error_log stderr warn;
events {
	worker_connections 4096;
}
http {
	access_log off;
	server_tokens off;
	client_body_temp_path /tmp/body;
	proxy_temp_path /tmp/proxy;
	fastcgi_temp_path /tmp/fastcgi;
	uwsgi_temp_path /tmp/uwsgi;
	scgi_temp_path /tmp/scgi;
	client_max_body_size 0;
	resolver 127.0.0.11 valid=1s ipv6=off;
	split_clients $request_id $drawn {
%s	}
%s	map $http_upgrade $connection_header {
		default upgrade;
		"" "";
	}
	map $http_x_forwarded_proto $forwarded_proto {
		default $http_x_forwarded_proto;
		"" $scheme;
	}
	proxy_http_version 1.1;
	proxy_buffering off;
	proxy_request_buffering off;
	proxy_read_timeout 1h;
	proxy_send_timeout 1h;
	proxy_set_header Host $http_host;
	proxy_set_header Upgrade $http_upgrade;
	proxy_set_header Connection $connection_header;
	proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
	proxy_set_header X-Forwarded-Proto $forwarded_proto;
	server {
		listen %d;
		location / {
			proxy_pass http://%s;
		}
	}
	server {
		listen %d;
		location / {
			proxy_pass http://%s;
			add_header %s %s always;
		}
	}
}
`, shares.String(), cookie, s.Port, backend, s.ownPort(), backend, splitHeader, s.shares())
}

// cookie is that of a service: what listens at several ports of a machine shares all cookies.
func (s Split) cookie() string { return "split_" + strings.ReplaceAll(s.Service, "-", "_") }
