import type { FastifyInstance } from 'fastify'

/** A response to a request, with its error if it is one. */
export interface Refusal {
  statusCode: number
  code?: string
  message?: string
}

/** Requests a path. Reads the body of an error only, because a stream may stay open. */
export async function refusalOf (app: FastifyInstance, url: string): Promise<Refusal> {
  const response = await app.inject({ url, payloadAsStream: true })
  const { statusCode } = response
  if (!String(response.headers['content-type']).startsWith('application/json')) return { statusCode }
  let text = ''
  for await (const chunk of response.stream()) text += chunk
  return JSON.parse(text)
}
