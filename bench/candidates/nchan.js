import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NAME } from '../event.js'
import { MODULE, NGINX } from '../nginx.js'
import { freePort } from '../port.js'

/** Number of events that nchan retains. With its default of 10 a burst would lose some. */
const BUFFER = 1_000

/** One hour, so that no connection ends because its server was stopped. */
const LONG = '1h'

const configuration = (port) => `
load_module ${MODULE};
daemon off;
pid nginx.pid;
worker_processes 1;
worker_rlimit_nofile 20000;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000000;
  keepalive_timeout ${LONG};
  send_timeout ${LONG};
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /feed {
      nchan_subscriber eventsource;
      nchan_channel_id feed;
      nchan_subscriber_first_message newest;
    }
    location = /publish {
      nchan_publisher http;
      nchan_channel_id feed;
      nchan_message_buffer_length ${BUFFER};
    }
  }
}
`

/** Candidate: nginx with nchan, one worker. This process publishes to it over one kept connection. */
export async function open () {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'nchan-'))
  writeFileSync(join(folder, 'nginx.conf'), configuration(port))
  const nginx = spawn(NGINX, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'inherit'] })
  process.on('exit', () => nginx.kill())
  const socket = await reach(port)

  // the process that answers is the worker, and opens no file from now on
  const waiting = []
  socket.setEncoding('latin1').setNoDelay().on('data', (text) => {
    for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d+)/g)) waiting.shift()(Number(status))
  })
  function request (method, path, headers, body) {
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`)
    return new Promise((resolve) => waiting.push(resolve))
  }
  await request('GET', '/publish', '', '')
  rmSync(folder, { recursive: true })
  const worker = readFileSync(`/proc/${nginx.pid}/task/${nginx.pid}/children`, 'utf8').trim()

  return {
    port,
    async publish (data) {
      const status = await request('POST', '/publish', `x-eventsource-event: ${NAME}\r\n`, JSON.stringify(data))
      if (status !== 201) throw new Error(`nchan answers ${status}`)
    },
    /** Reads its time on the CPU, which equals process.cpuUsage() for a process with one thread. */
    cpu: () => Number(readFileSync(`/proc/${worker}/schedstat`, 'utf8').split(' ')[0]) / 1_000
  }
}

/** Connects to nginx as soon as it listens. */
async function reach (port) {
  for (let tries = 0; ; tries++) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return socket
    } catch (error) {
      if (tries === 100) throw error
      await sleep(20)
    }
  }
}
