import { portSchema } from './options.js'
import { createObserverGuard, type ObserverGuard } from './observers.js'
import type { Logger } from './logger.js'

/** Attributes that distinguish the measurements of one instrument. Each takes only a few values. */
export type MeterAttributes = Readonly<Record<string, string>>

/** Options of an instrument. */
export interface InstrumentOptions {
  readonly description: string
  /** A unit in UCUM notation, such as `s` or `{task}`. */
  readonly unit: string
}

/** Records an observation. */
export type Observe = (value: number, attributes?: MeterAttributes) => void

/** Called whenever measurements are collected. */
export type ObserveCallback = (result: { observe: Observe }) => void

/** The part of a meter that stateward uses. A meter of `@opentelemetry/api` fits. */
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

/** Records a measurement. Never throws. */
export type Measure = (value: number, attributes?: MeterAttributes) => void

/** Guards a meter: its exceptions never reach the code that is measured. Once disposed, it observes nothing more. */
export class Instruments implements Disposable {
  readonly #meter: Meter
  readonly #guard: ObserverGuard
  readonly #removals: (() => void)[] = []

  constructor(meter: Meter, logger: Logger) {
    this.#meter = meter
    this.#guard = createObserverGuard(logger, 'the meter threw')
  }

  /** Creates a counter. */
  counter(name: string, unit: string, description: string): Measure {
    const counter = this.#make(() => this.#meter.createCounter(name, { description, unit }))
    return (value, attributes) => this.#guard(() => counter?.add(value, attributes))
  }

  /** Creates a histogram of durations. Measure in milliseconds; it is reported in seconds. */
  duration(name: string, description: string): Measure {
    const histogram = this.#make(() => this.#meter.createHistogram(name, { description, unit: 's' }))
    return (milliseconds, attributes) => this.#guard(() => histogram?.record(milliseconds / 1000, attributes))
  }

  /** Creates a gauge that is read whenever measurements are collected. */
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
