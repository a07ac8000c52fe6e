/** Free TCP ports for servers that cannot choose one themselves. */
import { connect, createServer } from 'node:net'

/**
 * Below the ports that systems give to outgoing connections, so that a server which was stopped finds its port free
 * when it is started again. Ten thousand above each one is free for a Redis Cluster's bus.
 */
const FIRST_PORT = 10_000
const LAST_PORT = 19_999
const MAX_ATTEMPTS = 10

/** What servers write when their port is taken. */
const PORT_TAKEN = /address already in use|EADDRINUSE|in use by another/i

/** A port on 127.0.0.1 that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1))
    if (await isFree(port)) return port
  }
}

/** Starts something on a free port; on another one when that was taken between looking and starting. */
export async function onFreePort<Value>(start: (port: number) => Promise<Value>): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort())
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !PORT_TAKEN.test(String(error))) throw error
    }
  }
}

/** Whether something accepts connections on a port of 127.0.0.1. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
