/** The state of one object of the engine, as text by key. */
export type ObjectState = Readonly<Record<string, string>>

/** Names an object of the engine. */
export interface ObjectPlace {
  readonly service: string
  readonly key: string
}

/** What an object of the engine holds. */
export async function stateOf(admin: string, { service, key }: ObjectPlace): Promise<ObjectState> {
  const query = `select key, value_utf8 from state where service_name = '${service}' and service_key = '${key}'`
  const answer = await ask(admin, 'query', { query })
  const { rows } = (await answer.json()) as { rows: { key: string; value_utf8: string }[] }
  return Object.fromEntries(rows.map((row) => [row.key, row.value_utf8]))
}

/**
 * Replaces what an object of the engine holds, by its administration, behind the back of the code that writes it: for what no
 * call brings about, or not in a bearable time. The engine does it in its turn, a little later.
 */
export async function changeState(
  admin: string,
  place: ObjectPlace,
  change: (state: ObjectState) => ObjectState,
): Promise<void> {
  const changed = Object.entries(change(await stateOf(admin, place)))
  const new_state = Object.fromEntries(changed.map(([name, text]) => [name, [...Buffer.from(text)]]))
  await ask(admin, `services/${place.service}/state`, { object_key: place.key, new_state })
}

async function ask(admin: string, path: string, body: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  const answer = await fetch(`${admin}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(await answer.text())
  return answer
}
