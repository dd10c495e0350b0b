import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { JsonValue } from '../../../base/json.js'
import type { BarrierRow, QuestionRow, WaitRow } from '../../stream/protocol.js'
import { place } from '../address.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { ItemLine, ItemLink } from '../parts/item.js'
import { now } from '../parts/now.js'
import { duration, relative } from '../parts/text.js'
import { useView } from '../use-view.js'

/** Who waits for what, and what is missing: now, or in the past. */
export function Waits(): JSX.Element {
  const { at } = place.value
  const shown = useView({ view: 'waits', ...(at !== undefined && { at }) })
  return (
    <Answered of={shown}>
      {({ barriers, questions, waits }) => (
        <>
          <h2>Open questions ({questions.total})</h2>
          {questions.total === 0 && <p class="quiet">No open questions.</p>}
          <ul class="plain lines">
            {questions.rows.map((row) => (
              <li key={`${row.task.id} ${row.name}`}>
                <Question row={row} />
              </li>
            ))}
          </ul>
          <h2>Barriers ({barriers.total})</h2>
          {barriers.total === 0 && <p class="quiet">No open barriers.</p>}
          <ul class="plain">
            {barriers.rows.map((row) => (
              <li key={`${row.session} ${row.turnId}`}>
                <Barrier row={row} />
              </li>
            ))}
          </ul>
          <h2>Waiting work ({waits.total})</h2>
          {waits.total === 0 && <p class="quiet">Nothing waits.</p>}
          <ul class="plain lines">
            {waits.rows.map((row) => (
              <li key={`${row.item.type} ${row.item.id}`}>
                <Wait row={row} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Answered>
  )
}

function Barrier({ row }: { readonly row: BarrierRow }): JSX.Element {
  return (
    <article class="card">
      <h3>
        turn {row.turnId} <span class="quiet">in {row.session}</span>
      </h3>
      <progress
        value={row.members - row.missingCount}
        max={Math.max(1, row.members)}
        aria-label="members that have ended"
      />{' '}
      {row.missingCount} of {row.members} are missing
      <ul class="plain lines">
        {row.missing.map((item) => (
          <li key={item.id}>
            <ItemLine row={item} />
          </li>
        ))}
      </ul>
    </article>
  )
}

function Wait({ row }: { readonly row: WaitRow }): JSX.Element {
  const nowMs = now.value
  return (
    <>
      <ItemLink item={row.item} name={row.name} />
      <span>waits for {row.on === undefined ? row.waitsFor : <ItemLink item={row.on} name={row.waitsFor} />}</span>
      {row.sinceMs !== undefined && <span class="quiet">for {duration(Math.max(0, nowMs - row.sinceMs))}</span>}
      {row.untilMs !== undefined && <span class="quiet">due {relative(row.untilMs, nowMs)}</span>}
    </>
  )
}

function Question({ row }: { readonly row: QuestionRow }): JSX.Element {
  const nowMs = now.value
  const isNow = place.value.at === undefined
  const canAnswer = isNow && connection.hello.value?.actions.includes('answer') === true
  const [answer, setAnswer] = useState('')
  const [said, setSaid] = useState('')
  const send = async (): Promise<void> => {
    try {
      const value = answer === '' ? undefined : (JSON.parse(answer) as JsonValue)
      await connection.act({ action: 'answer', item: row.task, name: row.name, ...(value !== undefined && { value }) })
      setSaid('answered')
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <>
      <strong>{row.name}</strong>
      <ItemLink item={row.task} name={row.taskName} />
      {row.description !== undefined && <span>{row.description}</span>}
      {row.whom !== undefined && <span class="quiet">asks {row.whom}</span>}
      <span class="quiet">asked {relative(row.askedAtMs, nowMs)}</span>
      {row.untilMs !== undefined && <span class="quiet">closes {relative(row.untilMs, nowMs)}</span>}
      {canAnswer && (
        <form
          class="answer"
          onSubmit={(event) => {
            event.preventDefault()
            void send()
          }}
        >
          <input
            value={answer}
            placeholder="an answer as JSON"
            aria-label={`Answer to ${row.name} of ${row.taskName}`}
            onInput={({ currentTarget }) => setAnswer(currentTarget.value)}
          />
          <button type="submit">answer</button>
          <output>{said}</output>
        </form>
      )}
    </>
  )
}
