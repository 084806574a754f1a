"""A throwaway PostgreSQL server with tarn, and what a process of it costs."""

import os
import pwd
import re
import subprocess
import threading
import time

import psycopg2

import bench

# setpriv becomes the program, so that signals reach it
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

CONFIG = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
max_worker_processes = 32
shared_buffers = {shared_buffers}
max_wal_size = '64GB'
checkpoint_timeout = '1h'
autovacuum = off
log_min_messages = warning
log_checkpoints = off
dynamic_library_path = '$libdir:{plugins}'
"""


class Server:
    def __init__(self, args, work, shared_buffers="1GB", settings="", tarn=True):
        self.bin = subprocess.run([args.pg_config, "--bindir"], check=True, text=True,
                                  capture_output=True).stdout.strip()
        self.work = work
        self.data = os.path.join(work, "data")
        self.warehouse = os.path.join(work, "lake")
        self.settings = CONFIG.format(sockets=work, shared_buffers=shared_buffers,
                                      plugins=build_plugins(args, work)) + settings
        if tarn:
            self.settings += "shared_preload_libraries = 'tarn'\n"
        if self.has_setting("output_plugin_libraries"):
            names = "pgoutput, test_decoding, noop" + (", tarn" if tarn else "")
            self.settings += f"output_plugin_libraries = '{names}'\n"

    def program(self, name):
        return os.path.join(self.bin, name)

    def run(self, *command, **options):
        options.setdefault("check", True)
        return subprocess.run(AS_POSTGRES + list(command), cwd=self.work, **options)

    def has_setting(self, name):
        out = self.run(self.program("postgres"), "--describe-config", capture_output=True, text=True).stdout
        return re.search(rf"^{name}\t", out, re.M) is not None

    def __enter__(self):
        for folder in (self.data, self.warehouse):
            os.makedirs(folder, exist_ok=True)
            if os.geteuid() == 0:
                owner = pwd.getpwnam("postgres")
                os.chown(folder, owner.pw_uid, owner.pw_gid)
            os.chmod(folder, 0o700 if folder == self.data else 0o755)
        self.run(self.program("initdb"), "-D", self.data, "-U", USER, "--no-sync", "-A", "trust",
                 "--locale=C", "-E", "UTF8", stdout=subprocess.DEVNULL)
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as f:
            f.write(self.settings)
        self.run(self.program("pg_ctl"), "-D", self.data, "-l", os.path.join(self.work, "server.log"),
                 "-w", "start", stdout=subprocess.DEVNULL)
        self.connection = self.connect()
        return self

    def __exit__(self, *exc):
        self.connection.close()
        self.run(self.program("pg_ctl"), "-D", self.data, "-m", "fast", "-w", "stop",
                 stdout=subprocess.DEVNULL, check=False)

    def connect(self):
        connection = psycopg2.connect(host=self.work, user=USER, dbname="postgres")
        connection.autocommit = True
        return connection

    def sql(self, query, *values):
        """Runs it; the rows, or None."""
        with self.connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else None

    def value(self, query, *values):
        return self.sql(query, *values)[0][0]

    def timed(self, query, *values):
        start = time.monotonic()
        self.sql(query, *values)
        return time.monotonic() - start

    def copy_in(self, table, path, options):
        with self.connection.cursor() as cursor, open(path) as f:
            cursor.copy_expert(f"COPY {table} FROM STDIN ({options})", f)

    # pipelines

    def create_lake(self):
        self.sql("CREATE EXTENSION IF NOT EXISTS tarn")
        self.sql(f"CREATE SERVER lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file://{self.warehouse}')")

    def create_pipeline(self, tables, arguments="", name="bench"):
        """Publication and pipeline over these tables; returns when every one is live."""
        self.sql(f"CREATE PUBLICATION {name} FOR TABLE {tables}")
        start = time.monotonic()
        self.sql(f"SELECT tarn.create_pipeline('{name}', lake => 'lake', publications => '{{{name}}}'{arguments})")
        self.wait_live(name)
        return time.monotonic() - start

    def wait_live(self, name="bench", timeout=1800):
        deadline = time.monotonic() + timeout
        while True:
            rows = self.sql('SELECT "table", state, error FROM tarn.tables WHERE pipeline = %s', name)
            stopped = [r for r in rows if r[1] == "stopped"]
            if stopped:
                raise RuntimeError(f"tables stopped: {stopped}")
            if rows and all(r[1] == "live" for r in rows):
                return
            error = self.sql("SELECT failures, last_error FROM tarn.pipelines WHERE name = %s", name)
            if error and (error[0][0] or 0) > 3:
                raise RuntimeError(f"pipeline fails: {error[0][1]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"tables are not live: {rows}")
            time.sleep(0.02)

    def pause(self, name="bench"):
        self.sql("SELECT tarn.pause(%s)", name)
        while self.value("SELECT active FROM pg_replication_slots s JOIN tarn.pipelines p ON p.slot = s.slot_name "
                         "WHERE p.name = %s", name):
            time.sleep(0.02)

    def flush(self, name="bench", timeout="30 min"):
        self.sql("SELECT tarn.flush(%s, %s::interval)", name, timeout)

    def resume(self, name="bench"):
        """Returns when the launcher has seen it."""
        self.sql("SELECT tarn.resume(%s)", name)
        while self.value("SELECT state FROM tarn.pipelines WHERE name = %s", name) == "paused":
            time.sleep(0.005)

    def resume_and_flush(self, name="bench"):
        """Seconds until all that was committed is in the lake, from a stopped worker."""
        start = time.monotonic()
        self.resume(name)
        self.flush(name)
        return time.monotonic() - start

    def worker_pid(self, name="bench", timeout=30):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            pid = self.value("SELECT pid FROM tarn.pipelines WHERE name = %s", name)
            if pid:
                return pid
            time.sleep(0.02)
        raise RuntimeError("the pipeline has no worker")

    def import_lake(self, schema="public"):
        self.sql("CREATE SCHEMA IF NOT EXISTS lake")
        self.sql(f"IMPORT FOREIGN SCHEMA {schema} FROM SERVER lake INTO lake")

    def lake_files(self, suffix=".parquet"):
        """Paths of files below the warehouse."""
        found = []
        for folder, _, names in os.walk(self.warehouse):
            found += [os.path.join(folder, n) for n in names if n.endswith(suffix)]
        return found

    # the peers in the server

    def create_slot(self, name, plugin):
        self.sql("SELECT pg_create_logical_replication_slot(%s, %s)", name, plugin)

    def drop_slot(self, name):
        self.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", name)

    def current_lsn(self):
        return self.value("SELECT pg_current_wal_insert_lsn()")

    def recvlogical_command(self, slot, publication, *more):
        return AS_POSTGRES + [self.program("pg_recvlogical"), "-h", self.work, "-U", USER, "-d", "postgres",
                              "-S", slot, "--start", "-f", "/dev/null", "--no-loop", "-o", "proto_version=1",
                              "-o", f"publication_names={publication}", "-o", "binary=true", *more]

    def recvlogical(self, base_slot, publication):
        """Seconds pg_recvlogical takes for the backlog of a copy of the slot, pgoutput binary to /dev/null."""
        self.drop_slot("peer_copy")
        self.sql("SELECT pg_copy_logical_replication_slot(%s, 'peer_copy')", base_slot)
        # one more record, so that there is something at the end position
        end = self.current_lsn()
        self.sql("SELECT pg_logical_emit_message(true, 'bench', 'end')")
        start = time.monotonic()
        subprocess.run(self.recvlogical_command("peer_copy", publication, "--endpos", end),
                       check=True, cwd=self.work)
        took = time.monotonic() - start
        self.drop_slot("peer_copy")
        return took

    def decode_nothing(self, base_slot):
        """Seconds of decoding the backlog of a copy of the slot by the plugin that does nothing."""
        self.drop_slot("noop_copy")
        self.sql("SELECT pg_copy_logical_replication_slot(%s, 'noop_copy')", base_slot)
        took = self.timed("SELECT count(*) FROM pg_logical_slot_get_binary_changes('noop_copy', NULL, NULL)")
        self.drop_slot("noop_copy")
        return took


def build_plugins(args, work):
    """Builds the plugin that does nothing; the folder with it."""
    target = os.path.join(work, "plugins")
    if not os.path.exists(os.path.join(target, "noop.so")):
        os.makedirs(target, exist_ok=True)
        for name in ("noop.c", "Makefile"):
            with open(os.path.join(bench.BENCH, "noop_plugin", name)) as f, \
                    open(os.path.join(target, name), "w") as t:
                t.write(f.read())
        subprocess.run(["make", "-s", "-C", target, f"PG_CONFIG={args.pg_config}"], check=True,
                       stdout=subprocess.DEVNULL)
        os.chmod(target, 0o755)
    return target


class Process:
    """What a process has used: CPU seconds, bytes written, memory."""

    def __init__(self, pid):
        self.pid = pid

    def read(self, name):
        with open(f"/proc/{self.pid}/{name}") as f:
            return f.read()

    def cpu(self):
        return int(self.read("schedstat").split()[0]) / 1e9

    def written(self):
        return int(re.search(r"^wchar: (\d+)", self.read("io"), re.M).group(1))

    def status_mb(self, field):
        return int(re.search(rf"^{field}:\s+(\d+)", self.read("status"), re.M).group(1)) / 1024

    def private_mb(self):
        return self.status_mb("RssAnon")

    def segment_mb(self):
        """Dynamic shared memory it has mapped, whether it was touched or not."""
        sizes = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .* /dev/shm/PostgreSQL", self.read("maps"), re.M)
        return sum(int(end, 16) - int(start, 16) for start, end in sizes) / 1024 ** 2

    def children(self, name):
        """Processes of the same server whose title has this in it."""
        found = []
        for pid in os.listdir("/proc"):
            try:
                if pid.isdigit() and name in Process(pid).read("cmdline") and self.parent() == Process(pid).parent():
                    found.append(Process(int(pid)))
            except OSError:
                pass
        return found

    def parent(self):
        return int(re.search(r"^PPid:\s+(\d+)", self.read("status"), re.M).group(1))


class MemoryWatch(threading.Thread):
    """Samples the memory of a pipeline's own: worker, encoder, what they share.

    Private memory is what counts; shared buffers are the server's, and pages
    of files that are mapped are the system's to take.
    """

    def __init__(self, worker_pid):
        super().__init__(daemon=True)
        self.worker = Process(worker_pid)
        self.peak = {"worker": 0.0, "encoder": 0.0, "together": 0.0}
        self.stopping = False

    def run(self):
        encoders = []
        looked = 0.0
        while not self.stopping:
            try:
                if time.monotonic() - looked > 0.5:
                    encoders = self.worker.children("tarn encoder")
                    segment = self.worker.segment_mb()
                    looked = time.monotonic()
                worker = self.worker.private_mb()
            except (OSError, AttributeError):
                return
            encoder = 0.0
            for e in encoders:
                try:
                    encoder += e.private_mb()
                except (OSError, AttributeError):
                    encoders = []
            for name, value in (("worker", worker), ("encoder", encoder), ("together", worker + encoder + segment)):
                self.peak[name] = max(self.peak[name], value)
            time.sleep(0.005)

    def stop(self):
        """The peaks, in MB."""
        self.stopping = True
        self.join()
        return self.peak
