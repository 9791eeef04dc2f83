/** Posts JSON. Throws, in words for a person, why it did not arrive or was refused. */
export async function post (url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  }).catch(() => { throw new Error('Not sent: the server cannot be reached') })
  if (response.status === 401) throw new Error('Not sent: you need to sign in first')
  if (!response.ok) throw new Error(`Not sent: ${(await response.json()).message}`)
}
