/** Posts JSON. Throws what the server says where it refuses. */
export async function post (url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error((await response.json()).message)
}
