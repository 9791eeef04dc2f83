import { once } from 'node:events'
import { connect } from 'node:net'

/** Resolves to true if a server listens on a port of 127.0.0.1. */
export async function isListening (port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
