import { portSchema } from './options.js'
import { createObserverGuard, type ObserverGuard } from './observers.js'
import type { Logger } from './logger.js'

/** What tells measurements of one instrument apart; each has a few values. */
export type MeterAttributes = Readonly<Record<string, string>>

/** What an instrument says of itself. */
export interface InstrumentOptions {
  readonly description: string
  /** In the notation of UCUM, such as `s` or `{task}`. */
  readonly unit: string
}

/** Takes an observation. */
export type Observe = (value: number, attributes?: MeterAttributes) => void

/** Asked whenever measurements are collected. */
export type ObserveCallback = (result: { observe: Observe }) => void

/** What stateward uses of a meter; the one of `@opentelemetry/api` fits. */
export interface Meter {
  createCounter(name: string, options: InstrumentOptions): { add(value: number, attributes?: MeterAttributes): void }
  createHistogram(
    name: string,
    options: InstrumentOptions,
  ): { record(value: number, attributes?: MeterAttributes): void }
  createObservableUpDownCounter(
    name: string,
    options: InstrumentOptions,
  ): { addCallback(callback: ObserveCallback): void; removeCallback(callback: ObserveCallback): void }
}

/** Accepts a {@link Meter}. */
export const meterSchema = portSchema<Meter>(['createCounter', 'createHistogram', 'createObservableUpDownCounter'])

/** Takes a measurement. Never throws. */
export type Measure = (value: number, attributes?: MeterAttributes) => void

/** A meter behind a guard: nothing that it throws is felt by what it measures. Disposed of, it is asked for nothing any more. */
export class Instruments implements Disposable {
  readonly #meter: Meter
  readonly #guard: ObserverGuard
  readonly #removals: (() => void)[] = []

  constructor(meter: Meter, logger: Logger) {
    this.#meter = meter
    this.#guard = createObserverGuard(logger, 'the meter threw')
  }

  /** Something that is counted. */
  counter(name: string, unit: string, description: string): Measure {
    const counter = this.#make(() => this.#meter.createCounter(name, { description, unit }))
    return (value, attributes) => this.#guard(() => counter?.add(value, attributes))
  }

  /** How long something takes; to be measured in milliseconds, and told in seconds. */
  duration(name: string, description: string): Measure {
    const histogram = this.#make(() => this.#meter.createHistogram(name, { description, unit: 's' }))
    return (milliseconds, attributes) => this.#guard(() => histogram?.record(milliseconds / 1000, attributes))
  }

  /** How much there is of something, looked at when somebody collects. */
  level(name: string, unit: string, description: string, read: (observe: Observe) => void): void {
    const instrument = this.#make(() => this.#meter.createObservableUpDownCounter(name, { description, unit }))
    const callback: ObserveCallback = (result) =>
      this.#guard(() => read((value, attributes) => result.observe(value, attributes)))
    this.#guard(() => instrument?.addCallback(callback))
    this.#removals.push(() => instrument?.removeCallback(callback))
  }

  [Symbol.dispose](): void {
    for (const remove of this.#removals.splice(0)) this.#guard(remove)
  }

  #make<Instrument>(create: () => Instrument): Instrument | undefined {
    let instrument: Instrument | undefined
    this.#guard(() => {
      instrument = create()
    })
    return instrument
  }
}
