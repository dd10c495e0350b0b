import type { JSX } from 'preact'
import type { Counts, OverviewView, Sample } from '../../stream/protocol.js'
import { hrefOf } from '../address.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { Plot } from '../parts/plot.js'
import { count, duration } from '../parts/text.js'
import { useView } from '../use-view.js'

/** The overview. */
export function Overview(): JSX.Element {
  const shown = useView({ view: 'overview' })
  return <Answered of={shown}>{(view) => <Whole view={view} />}</Answered>
}

function Whole({ view }: { readonly view: OverviewView }): JSX.Element {
  const samples = joined(view.samples, connection.samples.value)
  const rate = (pick: (sample: Sample) => number): number[] =>
    samples.slice(1).map((sample, index) => {
      const before = samples[index] ?? sample
      return (pick(sample) * 1_000) / Math.max(1, sample.atMs - before.atMs)
    })
  const spanMs = (samples.at(-1)?.atMs ?? 0) - (samples[0]?.atMs ?? 0)
  // A recording has no data on sessions and waits.
  const isOfRooms = connection.hello.value?.views.includes('waits') === true
  const perSecond = (values: readonly number[]): string => `${(values.at(-1) ?? 0).toFixed(1)}/s`
  const [started, ended, failed] = [rate((of) => of.started), rate((of) => of.ended), rate((of) => of.failed)]
  return (
    <>
      {view.notice !== undefined && <p class="notice">{view.notice}</p>}
      <section class="plots" aria-label="Over time">
        <Plot title="running" values={samples.map(({ running }) => running)} spanMs={spanMs} />
        <Plot title="waiting" values={samples.map(({ waiting }) => waiting)} spanMs={spanMs} />
        <Plot title="started" values={started} now={perSecond(started)} spanMs={spanMs} />
        <Plot title="ended" values={ended} now={perSecond(ended)} spanMs={spanMs} />
        <Plot title="failed" values={failed} now={perSecond(failed)} spanMs={spanMs} />
        {view.journal !== undefined && (
          <Plot title="journal records" values={samples.map(({ journal }) => journal)} spanMs={spanMs} />
        )}
        {view.stream.dropped > 0 && (
          <Plot title="entries dropped" values={samples.map(({ dropped }) => dropped)} spanMs={spanMs} />
        )}
      </section>
      <section class="cards">
        <PhaseCard
          title="Operations"
          counts={view.operations}
          type="operation"
          more={isOfRooms ? (view.sessions === 1 ? '1 session' : `${count(view.sessions)} sessions`) : ''}
        />
        {view.tasks !== undefined && (
          <PhaseCard
            title="Tasks"
            counts={view.tasks}
            type="task"
            more={view.tasks.isPaused ? 'dispatch is paused' : ''}
          />
        )}
        {view.processes !== undefined && <PhaseCard title="Processes" counts={view.processes} type="process" more="" />}
        {isOfRooms && (
          <article class="card">
            <h2>Waits</h2>
            <dl class="facts">
              <Fact name="open questions" value={count(view.questions)} screen="waits" />
              <Fact name="barriers" value={count(view.barriers)} screen="waits" />
              <Fact name="jobs running here" value={count(view.jobs)} />
            </dl>
          </article>
        )}
        {view.slots.length > 0 && (
          <article class="card">
            <h2>Slots</h2>
            <dl class="facts">
              {view.slots.map(({ name, limit, taken, waiting }) => (
                <Fact
                  key={name}
                  name={name}
                  value={`${count(taken)} of ${limit === null ? 'any number' : count(limit)} taken, ${count(waiting)} in line`}
                />
              ))}
            </dl>
          </article>
        )}
        {view.journal !== undefined && (
          <article class="card">
            <h2>Journal</h2>
            <dl class="facts">
              <Fact name="status" value={view.journal.status} />
              <Fact name="number of the next record" value={count(view.journal.nextSequence)} />
              <Fact name="records since the snapshot" value={count(view.journal.tail)} />
              {view.journal.owner !== undefined && (
                <Fact
                  name="owner"
                  value={`process ${view.journal.owner.pid} on ${view.journal.owner.host}, ${view.journal.owner.standing}`}
                />
              )}
              {view.journal.brokenEnd !== undefined && <Fact name="broken end" value={view.journal.brokenEnd} />}
            </dl>
          </article>
        )}
        <article class="card">
          <h2>Stream</h2>
          <dl class="facts">
            <Fact
              name="entries held"
              value={
                view.stream.newest < view.stream.oldest
                  ? 'none'
                  : `${count(view.stream.oldest)} to ${count(view.stream.newest)}`
              }
            />
            <Fact name="entries dropped" value={count(view.stream.dropped)} />
            <Fact name="viewers" value={count(view.stream.viewers)} />
            {view.stream.sample < 1 && (
              <Fact name="operations shown" value={`${(view.stream.sample * 100).toFixed(0)} %`} />
            )}
            {view.openedAtMs !== undefined && <Fact name="open for" value={duration(view.atMs - view.openedAtMs)} />}
          </dl>
        </article>
      </section>
    </>
  )
}

function Fact({
  name,
  value,
  screen,
}: {
  readonly name: string
  readonly value: string
  /** The screen with details. */
  readonly screen?: string
}): JSX.Element {
  return (
    <div>
      <dt>{screen === undefined ? name : <a href={hrefOf({ screen })}>{name}</a>}</dt>
      <dd>{value}</dd>
    </div>
  )
}

function PhaseCard(properties: {
  readonly title: string
  readonly counts: Counts
  readonly type: string
  readonly more: string
}): JSX.Element {
  const { title, counts, type, more } = properties
  return (
    <article class="card">
      <h2>{title}</h2>
      <ul class="phases">
        {Object.entries(counts.phases).map(([phase, many]) => (
          <li key={phase}>
            <a class={`phase phase-${phase}`} href={hrefOf({ screen: 'list', types: [type], phases: [phase] })}>
              {phase} {count(many)}
            </a>
          </li>
        ))}
      </ul>
      {Object.keys(counts.phases).length === 0 && <p class="quiet">none</p>}
      {more !== '' && <p class="quiet">{more}</p>}
    </article>
  )
}

/** Samples that the server had, followed by newer ones. */
function joined(before: readonly Sample[], since: readonly Sample[]): readonly Sample[] {
  const last = before.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY
  return [...before, ...since.filter(({ atMs }) => atMs > last)].slice(-300)
}
