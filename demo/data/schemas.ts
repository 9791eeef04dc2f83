import { Type, type TObject } from '@fastify/type-provider-typebox'

/** The query of a stream of published events, for clients that cannot set the header Last-Event-ID. */
export const ResumeSchema = Type.Object({
  lastEventId: Type.Optional(Type.String({ description: 'The id of the last event the client has: what it missed since comes first. `0-0` asks for all that is still held.' }))
})

/** The answer to a request that published an event. */
export const PublishedSchema = Type.Object({ id: Type.String({ description: 'The event’s id' }) }, { description: 'Published' })

/** Fastify's answer to an error. */
export function errorSchema (description: string): TObject {
  return Type.Object({ statusCode: Type.Integer(), code: Type.String(), error: Type.String(), message: Type.String() }, { description })
}

/** The data of the event `error`, which ends a run that has failed. */
export const FailureSchema = Type.Object({ message: Type.String() })

/** The response to a request that stops a run. */
export const StoppedSchema = Type.Object({ stopped: Type.Boolean({ description: 'Whether a run was going on' }) }, { description: 'Stopped' })
