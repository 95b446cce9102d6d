// What the page knows of the cluster, kept up to date by the server's stream. When the connection is lost the last
// picture stays, with its age, and the page goes on trying.

import { askAgain, type Cluster, type Frame, type Gang } from './api';
import { decode, news, type Picture } from './map/picture';

/** How long to wait before a stream that the server refused is asked for again, and before a failed fetch is. */
const AGAIN_MS = 3_000;

export type Link = 'connecting' | 'live' | 'lost';

export class Live {
  link = $state<Link>('connecting');
  cluster = $state.raw<Cluster | null>(null);
  picture = $state.raw<Picture | null>(null);
  gangs = $state.raw<Gang[] | null>(null);
  /** Why what is shown may be old; empty when all is well. */
  trouble = $state('');
  /** What has just changed, for those who do not see it. */
  alert = $state('');
  /** Milliseconds since the last news from the server. */
  age = $state(0);

  #frame: Frame | undefined;
  #heard = performance.now();
  #stream: EventSource | undefined;
  #timers: number[] = [];
  #fetching = false;
  #again = false;

  start(): void {
    this.#open();
    this.#timers.push(window.setInterval(() => (this.age = performance.now() - this.#heard), 1000));
    document.addEventListener('visibilitychange', this.#look);
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.#look);
    this.#stream?.close();
    this.#timers.forEach((timer) => clearTimeout(timer));
  }

  /** The server's clock now, for ages. */
  get now(): number {
    return (this.cluster?.now_ms ?? 0) + this.age;
  }

  /** A page that nobody sees gives its connection back: browsers have six per host, over all tabs. */
  #look = (): void => {
    if (document.hidden) this.#stream?.close();
    else this.#open();
  };

  /** Opens the stream in place of the one before. Its first event comes at once. */
  #open(): void {
    this.#stream?.close();
    if (document.hidden) return;
    const stream = new EventSource('api/v1/stream');
    this.#stream = stream;
    stream.addEventListener('cluster', (event: MessageEvent<string>) => {
      this.cluster = JSON.parse(event.data) as Cluster;
      this.#heard = performance.now();
      this.age = 0;
      if (this.link === 'lost') this.alert = 'Connected again.';
      this.link = 'live';
      void this.#fetch();
    });
    stream.onerror = () => {
      if (this.link !== 'lost') this.alert = 'The connection to Muster is lost.';
      this.link = 'lost';
      // The browser tries again by itself unless the server said no.
      if (stream.readyState !== EventSource.CLOSED) return;
      this.#timers.push(window.setTimeout(() => this.#open(), AGAIN_MS));
    };
  }

  /** Fetches what the event told of; once more if there was another one meanwhile. */
  async #fetch(): Promise<void> {
    if (this.#fetching) {
      this.#again = true;
      return;
    }
    this.#fetching = true;
    try {
      const [frame, gangs] = await Promise.all([askAgain<Frame>('map'), askAgain<Gang[]>('gangs')]);
      const picture = frame === this.#frame && this.picture ? this.picture : decode(frame);
      this.#frame = frame;
      const said = this.picture && this.picture !== picture ? news(this.picture, picture) : [];
      if (said.length > 3) this.alert = `The health of GPUs changed on ${said.length} nodes.`;
      else if (said.length) this.alert = said.join(' ');
      this.picture = picture;
      this.gangs = gangs;
      this.trouble = '';
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
      if (this.link === 'live') this.#timers.push(window.setTimeout(() => void this.#fetch(), AGAIN_MS));
    }
    this.#fetching = false;
    if (this.#again) {
      this.#again = false;
      void this.#fetch();
    }
  }
}
