--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: collection_08cd9ef857ef; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA collection_08cd9ef857ef;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: facts; Type: TABLE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE TABLE collection_08cd9ef857ef.facts (
    name character varying(32) NOT NULL,
    value json
);


--
-- Name: holes; Type: TABLE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE TABLE collection_08cd9ef857ef.holes (
    faiss_id bigint NOT NULL
);


--
-- Name: images; Type: TABLE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE TABLE collection_08cd9ef857ef.images (
    id integer NOT NULL,
    path text NOT NULL,
    hash character varying(64),
    size bigint,
    mtime_ns bigint,
    label text,
    metadata jsonb NOT NULL,
    faiss_id bigint,
    state character varying(16) NOT NULL,
    reason text,
    source integer,
    seen integer
);


--
-- Name: images_id_seq; Type: SEQUENCE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE SEQUENCE collection_08cd9ef857ef.images_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: images_id_seq; Type: SEQUENCE OWNED BY; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER SEQUENCE collection_08cd9ef857ef.images_id_seq OWNED BY collection_08cd9ef857ef.images.id;


--
-- Name: schema_version; Type: TABLE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE TABLE collection_08cd9ef857ef.schema_version (
    version integer NOT NULL
);


--
-- Name: schema_version_version_seq; Type: SEQUENCE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE SEQUENCE collection_08cd9ef857ef.schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: schema_version_version_seq; Type: SEQUENCE OWNED BY; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER SEQUENCE collection_08cd9ef857ef.schema_version_version_seq OWNED BY collection_08cd9ef857ef.schema_version.version;


--
-- Name: segments; Type: TABLE; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE TABLE collection_08cd9ef857ef.segments (
    start bigint NOT NULL,
    stop bigint NOT NULL,
    crc32 bigint NOT NULL
);


--
-- Name: images id; Type: DEFAULT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.images ALTER COLUMN id SET DEFAULT nextval('collection_08cd9ef857ef.images_id_seq'::regclass);


--
-- Name: schema_version version; Type: DEFAULT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.schema_version ALTER COLUMN version SET DEFAULT nextval('collection_08cd9ef857ef.schema_version_version_seq'::regclass);


--
-- Data for Name: facts; Type: TABLE DATA; Schema: collection_08cd9ef857ef; Owner: -
--

INSERT INTO collection_08cd9ef857ef.facts VALUES ('run', '1');
INSERT INTO collection_08cd9ef857ef.facts VALUES ('sources', '[{"id": 1, "kind": "folder", "path": "/home/ada/embeddings/photos"}, {"id": 2, "kind": "list", "path": "/home/ada/embeddings/listed/list.csv"}]');
INSERT INTO collection_08cd9ef857ef.facts VALUES ('state', '{"version": 8, "generation": 2, "rows": 7, "metric": "cosine", "kind": "auto", "index": {"file": "index-18a90e7466a5.faiss", "factory": "Flat", "rows": 7, "trained_rows": 7, "size": 5421, "sha256": "ed9506a78484fe404e678c741d75127146a39ae5dccb06690b2e772e42e0e1f8", "sample": "281e73cd43fa247edb00645b74b28c23e0d8acd9caa2c9cdb8d8fe6c8b24852e", "effort": 0}}');


--
-- Data for Name: holes; Type: TABLE DATA; Schema: collection_08cd9ef857ef; Owner: -
--



--
-- Data for Name: images; Type: TABLE DATA; Schema: collection_08cd9ef857ef; Owner: -
--

INSERT INTO collection_08cd9ef857ef.images VALUES (1, '/home/ada/embeddings/photos/dog/broken.png', NULL, 8, 1795715158316327813, NULL, '{}', NULL, 'failed', 'it begins like a PNG picture but is truncated, broken or of a kind that can''t be read', 1, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (2, '/home/ada/embeddings/photos/cat/a.png', '23d3f785c4f7b5058067018f493829475addd86e9ff57fd29cfc042dcbafb890', 1788, 1795715158315014269, 'cat', '{}', 0, 'indexed', NULL, 1, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (3, '/home/ada/embeddings/photos/cat/b.png', 'a6eb85ec6e35a044ab0a7d6b4277dcf6f5faa6c52dba8ac5c2c5d175ff26d3dc', 1747, 1795715158315382687, 'cat', '{}', 1, 'indexed', NULL, 1, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (4, '/home/ada/embeddings/photos/dog/c.png', '44a94aa95f61ed19b7d0727c2bd16c5aa17f4af3fb1735ba14cb7d871398ba5a', 1730, 1795715158315913497, 'dog', '{}', 2, 'indexed', NULL, 1, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (8, '/home/ada/embeddings/collections/pets/uploads/b7d082ee12e91b756ea22e8513b8594eebcf5d39fab813da3cb55794dc888ad7', NULL, 6, 1795715158713635773, NULL, '{"name": "shoebox/frog/page.png"}', NULL, 'failed', 'it is a web page, not a picture', NULL, 0);
INSERT INTO collection_08cd9ef857ef.images VALUES (11, '/home/ada/embeddings/photos/dog/d.png', NULL, NULL, NULL, NULL, '{}', NULL, 'removed', NULL, NULL, NULL);
INSERT INTO collection_08cd9ef857ef.images VALUES (6, '/home/ada/embeddings/listed/7.png', 'e802f8b8a0b58209bfd681ef75bd7abc8442a49c3bf3d0d5ef9d9b1d9972f782', 1743, 1795715158316663893, 'bird', '{"price": 5}', 3, 'indexed', NULL, 2, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (7, '/home/ada/embeddings/listed/8.png', 'bd8314a3e7ba88af3328f29ec1c608435e38c31bda4d63445bea4670d38936d3', 1791, 1795715158316867566, 'bird', '{"price": 15}', 4, 'indexed', NULL, 2, 1);
INSERT INTO collection_08cd9ef857ef.images VALUES (9, '/home/ada/embeddings/collections/pets/uploads/8b26c624fe512871c8417bfca1d91cafd7d31703bfebc6190e89d2363bd8ce7b', '8b26c624fe512871c8417bfca1d91cafd7d31703bfebc6190e89d2363bd8ce7b', 1732, 1795715158703891798, 'fish', '{"name": "shoebox/fish/five.png"}', 5, 'indexed', NULL, NULL, 0);
INSERT INTO collection_08cd9ef857ef.images VALUES (10, '/home/ada/embeddings/collections/pets/uploads/9b17709bdefd82b8454f0db7003a235b0613d87039f281ba1c03611650f6fd23', '9b17709bdefd82b8454f0db7003a235b0613d87039f281ba1c03611650f6fd23', 1798, 1795715158709697715, 'frog', '{"name": "shoebox/frog/six.png"}', 6, 'indexed', NULL, NULL, 0);


--
-- Data for Name: schema_version; Type: TABLE DATA; Schema: collection_08cd9ef857ef; Owner: -
--

INSERT INTO collection_08cd9ef857ef.schema_version VALUES (1);


--
-- Data for Name: segments; Type: TABLE DATA; Schema: collection_08cd9ef857ef; Owner: -
--

INSERT INTO collection_08cd9ef857ef.segments VALUES (0, 7, 1620285908);


--
-- Name: images_id_seq; Type: SEQUENCE SET; Schema: collection_08cd9ef857ef; Owner: -
--

SELECT pg_catalog.setval('collection_08cd9ef857ef.images_id_seq', 11, true);


--
-- Name: schema_version_version_seq; Type: SEQUENCE SET; Schema: collection_08cd9ef857ef; Owner: -
--

SELECT pg_catalog.setval('collection_08cd9ef857ef.schema_version_version_seq', 1, false);


--
-- Name: facts facts_pkey; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.facts
    ADD CONSTRAINT facts_pkey PRIMARY KEY (name);


--
-- Name: holes holes_pkey; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.holes
    ADD CONSTRAINT holes_pkey PRIMARY KEY (faiss_id);


--
-- Name: images images_path_key; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.images
    ADD CONSTRAINT images_path_key UNIQUE (path);


--
-- Name: images images_pkey; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (id);


--
-- Name: schema_version schema_version_pkey; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);


--
-- Name: segments segments_pkey; Type: CONSTRAINT; Schema: collection_08cd9ef857ef; Owner: -
--

ALTER TABLE ONLY collection_08cd9ef857ef.segments
    ADD CONSTRAINT segments_pkey PRIMARY KEY (start);


--
-- Name: ix_images_faiss_id; Type: INDEX; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE INDEX ix_images_faiss_id ON collection_08cd9ef857ef.images USING btree (faiss_id);


--
-- Name: ix_images_hash; Type: INDEX; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE INDEX ix_images_hash ON collection_08cd9ef857ef.images USING btree (hash);


--
-- Name: ix_images_label; Type: INDEX; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE INDEX ix_images_label ON collection_08cd9ef857ef.images USING btree (label);


--
-- Name: ix_images_source; Type: INDEX; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE INDEX ix_images_source ON collection_08cd9ef857ef.images USING btree (source);


--
-- Name: ix_images_state; Type: INDEX; Schema: collection_08cd9ef857ef; Owner: -
--

CREATE INDEX ix_images_state ON collection_08cd9ef857ef.images USING btree (state);


--
-- PostgreSQL database dump complete
--


