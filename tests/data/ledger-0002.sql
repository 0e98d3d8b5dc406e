BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE deliveries (
	job_id VARCHAR(32) NOT NULL, 
	destination VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	status INTEGER, 
	attempts INTEGER NOT NULL, 
	next_attempt FLOAT NOT NULL, 
	comment TEXT NOT NULL, 
	opened FLOAT NOT NULL, 
	PRIMARY KEY (job_id, destination, sop_instance_uid), 
	FOREIGN KEY(job_id) REFERENCES jobs (job_id)
);
INSERT INTO "deliveries" VALUES('b7be328a9c304b3797fafb5323614212','archive','2.25.50','pending',NULL,3,1700000605.0,'no association',1700000005.0);
INSERT INTO "deliveries" VALUES('b7be328a9c304b3797fafb5323614212','archive','2.25.51','pending',NULL,3,1700000605.0,'no association',1700000005.0);
INSERT INTO "deliveries" VALUES('b7be328a9c304b3797fafb5323614212','viewer','2.25.50','delivered',0,1,0.0,'',1700000005.0);
INSERT INTO "deliveries" VALUES('b7be328a9c304b3797fafb5323614212','viewer','2.25.51','delivered',0,1,0.0,'',1700000005.0);
INSERT INTO "deliveries" VALUES('edc3e143124a4ebb85ebb81d3c631a5b','archive','2.25.60','delivered',0,1,0.0,'',1700000006.0);
INSERT INTO "deliveries" VALUES('edc3e143124a4ebb85ebb81d3c631a5b','archive','2.25.61','delivered',0,1,0.0,'',1700000006.0);
INSERT INTO "deliveries" VALUES('1092eba8486c4cddbbb8c3bc16d3fe58','archive','2.25.70','delivered',0,1,0.0,'',1700000008.0);
INSERT INTO "deliveries" VALUES('1092eba8486c4cddbbb8c3bc16d3fe58','archive','2.25.71','delivered',0,1,0.0,'',1700000008.0);
INSERT INTO "deliveries" VALUES('24a06ecdff4542519ad723fda0eb7411','archive','2.25.90','failed',43264,1,0.0,'refused',1700000009.0);
INSERT INTO "deliveries" VALUES('24a06ecdff4542519ad723fda0eb7411','archive','2.25.91','failed',43264,1,0.0,'refused',1700000009.0);
CREATE TABLE instances (
	sop_instance_uid VARCHAR(64) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	modality VARCHAR(16) NOT NULL, 
	laterality VARCHAR(2), 
	"view" VARCHAR(16), 
	path TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	received FLOAT NOT NULL, 
	PRIMARY KEY (sop_instance_uid), 
	FOREIGN KEY(job_id) REFERENCES jobs (job_id)
);
INSERT INTO "instances" VALUES('1.2.1.0','ee894441780841ab884b689a7ec17dc3','1.2.840.10008.5.1.4.1.1.1.2','1.2.1','1.2.1.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/5e/5ec263522a5f33a9dc30fea3e0c973a8a87e7ce65cccfdf919efa250a63c7a83.dcm','5ec263522a5f33a9dc30fea3e0c973a8a87e7ce65cccfdf919efa250a63c7a83',1000,'MODALITY',1700000000.0);
INSERT INTO "instances" VALUES('1.2.1.1','ee894441780841ab884b689a7ec17dc3','1.2.840.10008.5.1.4.1.1.1.2','1.2.1','1.2.1.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/ab/abdb1bc3cc711f76d1aa1e48bd7a1d229bc28193f0ba71a9cfdcd01dca64fc71.dcm','abdb1bc3cc711f76d1aa1e48bd7a1d229bc28193f0ba71a9cfdcd01dca64fc71',1000,'MODALITY',1700000000.0);
INSERT INTO "instances" VALUES('1.2.1.2','ee894441780841ab884b689a7ec17dc3','1.2.840.10008.5.1.4.1.1.1.2','1.2.1','1.2.1.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/1e/1ec253fe82e98a71a4fa825699c67a0858549b5795206937e8fa890a94403d75.dcm','1ec253fe82e98a71a4fa825699c67a0858549b5795206937e8fa890a94403d75',1000,'MODALITY',1700000000.0);
INSERT INTO "instances" VALUES('1.2.1.3','ee894441780841ab884b689a7ec17dc3','1.2.840.10008.5.1.4.1.1.1.2','1.2.1','1.2.1.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/17/176ac74c181551911b1b16213bc2d827185e0ebda7d0ad4cbc7de0accecda7f7.dcm','176ac74c181551911b1b16213bc2d827185e0ebda7d0ad4cbc7de0accecda7f7',1000,'MODALITY',1700000000.0);
INSERT INTO "instances" VALUES('1.2.11.0','8282b3f0219746029b32289f436b65e3','1.2.840.10008.5.1.4.1.1.1.2.1','1.2.11','1.2.11.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/d4/d441a58eda3a993696e59496ae31113ebd42ffcc42fbdde5456771dfc72160c7.dcm','d441a58eda3a993696e59496ae31113ebd42ffcc42fbdde5456771dfc72160c7',1000,'MODALITY',1700000001.0);
INSERT INTO "instances" VALUES('1.2.2.0','fcd6397b2e0c4d12958042576ecdc8be','1.2.840.10008.5.1.4.1.1.1.2','1.2.2','1.2.2.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/4f/4f2a8af9975cb2a27df3855c0f4287c187361b2636e16fb4e6ebedb91af5e23d.dcm','4f2a8af9975cb2a27df3855c0f4287c187361b2636e16fb4e6ebedb91af5e23d',1000,'MODALITY',1700000001.0);
INSERT INTO "instances" VALUES('1.2.2.1','fcd6397b2e0c4d12958042576ecdc8be','1.2.840.10008.5.1.4.1.1.1.2','1.2.2','1.2.2.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/9e/9e4bb24e4e49b7eae7310057fbbd87196abe422153be07ffff487bc2a483c2fe.dcm','9e4bb24e4e49b7eae7310057fbbd87196abe422153be07ffff487bc2a483c2fe',1000,'MODALITY',1700000001.0);
INSERT INTO "instances" VALUES('1.2.2.2','fcd6397b2e0c4d12958042576ecdc8be','1.2.840.10008.5.1.4.1.1.1.2','1.2.2','1.2.2.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/89/898c03ee944ab3da67850b769fb1c098a5e81701affe8325dd243395b4b319b2.dcm','898c03ee944ab3da67850b769fb1c098a5e81701affe8325dd243395b4b319b2',1000,'MODALITY',1700000001.0);
INSERT INTO "instances" VALUES('1.2.2.3','fcd6397b2e0c4d12958042576ecdc8be','1.2.840.10008.5.1.4.1.1.1.2','1.2.2','1.2.2.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/2c/2c7db56e48869520787aed94248a5505ba020dfec4578a4f2d528c7ebc9adc4d.dcm','2c7db56e48869520787aed94248a5505ba020dfec4578a4f2d528c7ebc9adc4d',1000,'MODALITY',1700000001.0);
INSERT INTO "instances" VALUES('1.2.3.0','5a328380b9b04d15abd0166839c601e7','1.2.840.10008.5.1.4.1.1.1.2','1.2.3','1.2.3.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/a4/a49d2fd3cafd9277a610dcfdadfcd0052a0b19dc8bd10701090b3376cd80f59a.dcm','a49d2fd3cafd9277a610dcfdadfcd0052a0b19dc8bd10701090b3376cd80f59a',1000,'MODALITY',1700000002.0);
INSERT INTO "instances" VALUES('1.2.3.1','5a328380b9b04d15abd0166839c601e7','1.2.840.10008.5.1.4.1.1.1.2','1.2.3','1.2.3.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/49/4974ae191ce3ec78e04f5f50cb8aff2b2d3b718c63c2fdfe3ddb94deebc0476b.dcm','4974ae191ce3ec78e04f5f50cb8aff2b2d3b718c63c2fdfe3ddb94deebc0476b',1000,'MODALITY',1700000002.0);
INSERT INTO "instances" VALUES('1.2.3.2','5a328380b9b04d15abd0166839c601e7','1.2.840.10008.5.1.4.1.1.1.2','1.2.3','1.2.3.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/86/865c8b72575ed71652891f6032493b1a03a614117ea82ab968aee36d43c57ec6.dcm','865c8b72575ed71652891f6032493b1a03a614117ea82ab968aee36d43c57ec6',1000,'MODALITY',1700000002.0);
INSERT INTO "instances" VALUES('1.2.3.3','5a328380b9b04d15abd0166839c601e7','1.2.840.10008.5.1.4.1.1.1.2','1.2.3','1.2.3.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/66/660d77400d4dbe1d6b8b1ce7094dd45c32938c529b54ca5afa371c956a3fee05.dcm','660d77400d4dbe1d6b8b1ce7094dd45c32938c529b54ca5afa371c956a3fee05',1000,'MODALITY',1700000002.0);
INSERT INTO "instances" VALUES('1.2.4.0','fab2782e75be48218630b89c5214e654','1.2.840.10008.5.1.4.1.1.1.2','1.2.4','1.2.4.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/6a/6ab3b7c1299286d7401e74c7b6835d27d065941849fc01e931408318c0bde8ae.dcm','6ab3b7c1299286d7401e74c7b6835d27d065941849fc01e931408318c0bde8ae',1000,'MODALITY',1700000003.0);
INSERT INTO "instances" VALUES('1.2.4.1','fab2782e75be48218630b89c5214e654','1.2.840.10008.5.1.4.1.1.1.2','1.2.4','1.2.4.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/33/330553de1f7fae240b2411a16493bd263b9326e5a01a046e8a39bdef91ae67fd.dcm','330553de1f7fae240b2411a16493bd263b9326e5a01a046e8a39bdef91ae67fd',1000,'MODALITY',1700000003.0);
INSERT INTO "instances" VALUES('1.2.4.2','fab2782e75be48218630b89c5214e654','1.2.840.10008.5.1.4.1.1.1.2','1.2.4','1.2.4.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/86/86ac54cda81a9223b7408c3cc40eebd331810ed41844a78e12a404a6da472637.dcm','86ac54cda81a9223b7408c3cc40eebd331810ed41844a78e12a404a6da472637',1000,'MODALITY',1700000003.0);
INSERT INTO "instances" VALUES('1.2.4.3','fab2782e75be48218630b89c5214e654','1.2.840.10008.5.1.4.1.1.1.2','1.2.4','1.2.4.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/b4/b44e3bd6a439d5881697addfb49452c348c053dff7416a4b5d87da3d42517cd5.dcm','b44e3bd6a439d5881697addfb49452c348c053dff7416a4b5d87da3d42517cd5',1000,'MODALITY',1700000003.0);
INSERT INTO "instances" VALUES('1.2.5.0','b7be328a9c304b3797fafb5323614212','1.2.840.10008.5.1.4.1.1.1.2','1.2.5','1.2.5.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/09/095b50e52ae2d9eb51b6117aae7483efb0cbeec78e96914237a262abf84b057b.dcm','095b50e52ae2d9eb51b6117aae7483efb0cbeec78e96914237a262abf84b057b',1000,'MODALITY',1700000004.0);
INSERT INTO "instances" VALUES('1.2.5.1','b7be328a9c304b3797fafb5323614212','1.2.840.10008.5.1.4.1.1.1.2','1.2.5','1.2.5.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/77/77e2ffc4a861fc97572873e6e39107237793e985e0cd860ca19978e07a5c4067.dcm','77e2ffc4a861fc97572873e6e39107237793e985e0cd860ca19978e07a5c4067',1000,'MODALITY',1700000004.0);
INSERT INTO "instances" VALUES('1.2.5.2','b7be328a9c304b3797fafb5323614212','1.2.840.10008.5.1.4.1.1.1.2','1.2.5','1.2.5.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/84/840ee9072b1faf19b1322734f59c2383f1cd512da27ef8fef9c8d7d433774ae3.dcm','840ee9072b1faf19b1322734f59c2383f1cd512da27ef8fef9c8d7d433774ae3',1000,'MODALITY',1700000004.0);
INSERT INTO "instances" VALUES('1.2.5.3','b7be328a9c304b3797fafb5323614212','1.2.840.10008.5.1.4.1.1.1.2','1.2.5','1.2.5.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/0f/0f11c241946e8ab79dfc931843905df2ee5674027c13fdc0d837559733364221.dcm','0f11c241946e8ab79dfc931843905df2ee5674027c13fdc0d837559733364221',1000,'MODALITY',1700000004.0);
INSERT INTO "instances" VALUES('1.2.6.0','edc3e143124a4ebb85ebb81d3c631a5b','1.2.840.10008.5.1.4.1.1.1.2','1.2.6','1.2.6.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/21/214fc40b5bd8096977ba9b10b584b57033e1e9f71da16e3912fd4badc6ad0742.dcm','214fc40b5bd8096977ba9b10b584b57033e1e9f71da16e3912fd4badc6ad0742',1000,'MODALITY',1700000005.0);
INSERT INTO "instances" VALUES('1.2.6.1','edc3e143124a4ebb85ebb81d3c631a5b','1.2.840.10008.5.1.4.1.1.1.2','1.2.6','1.2.6.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/73/735aad6c5582b2ce5a981a36e5dfa54cc460670dba7fc82f0d9f402f8404c1c7.dcm','735aad6c5582b2ce5a981a36e5dfa54cc460670dba7fc82f0d9f402f8404c1c7',1000,'MODALITY',1700000005.0);
INSERT INTO "instances" VALUES('1.2.6.2','edc3e143124a4ebb85ebb81d3c631a5b','1.2.840.10008.5.1.4.1.1.1.2','1.2.6','1.2.6.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/77/774498c60d2051d738321c1a501cdc96b9398f6e7391d618ab6422e2d47f7d3c.dcm','774498c60d2051d738321c1a501cdc96b9398f6e7391d618ab6422e2d47f7d3c',1000,'MODALITY',1700000005.0);
INSERT INTO "instances" VALUES('1.2.6.3','edc3e143124a4ebb85ebb81d3c631a5b','1.2.840.10008.5.1.4.1.1.1.2','1.2.6','1.2.6.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/f9/f94677cfb7870a7b0bdefe984d8a1ab4deb6d1b266dc9da85509d93d869b86aa.dcm','f94677cfb7870a7b0bdefe984d8a1ab4deb6d1b266dc9da85509d93d869b86aa',1000,'MODALITY',1700000005.0);
INSERT INTO "instances" VALUES('1.2.6.8','abd6686053c74594afb42fe623c4a55e','1.2.840.10008.5.1.4.1.1.1.2','1.2.6','1.2.6.99','1.2.840.10008.1.2.1','MG','L','ML','/srv/ftmtl/spool/instances/ac/acae3dbb356572d92b9069a3d2cc189f90699685c074936bf03fb7a3122a86f0.dcm','acae3dbb356572d92b9069a3d2cc189f90699685c074936bf03fb7a3122a86f0',1000,'MODALITY',1700000006.0);
INSERT INTO "instances" VALUES('1.2.7.0','1092eba8486c4cddbbb8c3bc16d3fe58','1.2.840.10008.5.1.4.1.1.1.2','1.2.7','1.2.7.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/5a/5a5416b7fda535d0b3355927086287df27213586e233d22c9e3bdfb78172f005.dcm','5a5416b7fda535d0b3355927086287df27213586e233d22c9e3bdfb78172f005',1000,'MODALITY',1700000007.0);
INSERT INTO "instances" VALUES('1.2.7.1','1092eba8486c4cddbbb8c3bc16d3fe58','1.2.840.10008.5.1.4.1.1.1.2','1.2.7','1.2.7.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/ac/aca63eeacccbecc40b7f9c092bc570c87f06d133105cedf4027b77baa6fe9400.dcm','aca63eeacccbecc40b7f9c092bc570c87f06d133105cedf4027b77baa6fe9400',1000,'MODALITY',1700000007.0);
INSERT INTO "instances" VALUES('1.2.7.2','1092eba8486c4cddbbb8c3bc16d3fe58','1.2.840.10008.5.1.4.1.1.1.2','1.2.7','1.2.7.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/cf/cf9a059e62f94d54d4d25b5954cb9acc3d4568b382a93cb08ed0376c57750695.dcm','cf9a059e62f94d54d4d25b5954cb9acc3d4568b382a93cb08ed0376c57750695',1000,'MODALITY',1700000007.0);
INSERT INTO "instances" VALUES('1.2.7.3','1092eba8486c4cddbbb8c3bc16d3fe58','1.2.840.10008.5.1.4.1.1.1.2','1.2.7','1.2.7.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/a9/a9d059a8aa6f1372e104188ec1172d35bd81fabf38d785e2f95c326c49790bd5.dcm','a9d059a8aa6f1372e104188ec1172d35bd81fabf38d785e2f95c326c49790bd5',1000,'MODALITY',1700000007.0);
INSERT INTO "instances" VALUES('1.2.8.1','99c3fe17ac664de4b28470c547a5c4b8','1.2.840.10008.5.1.4.1.1.2','1.2.8','1.2.8.99','1.2.840.10008.1.2.1','CT',NULL,NULL,'/srv/ftmtl/spool/instances/0a/0afad989c9d9b5870441ace27d24620a189513dbecdbe0eda3e620613355fd08.dcm','0afad989c9d9b5870441ace27d24620a189513dbecdbe0eda3e620613355fd08',1000,'MODALITY',1700000008.0);
INSERT INTO "instances" VALUES('1.2.9.0','24a06ecdff4542519ad723fda0eb7411','1.2.840.10008.5.1.4.1.1.1.2','1.2.9','1.2.9.99','1.2.840.10008.1.2.1','MG','L','CC','/srv/ftmtl/spool/instances/d2/d22ae9831b261d6a5f39400d2ea4a7e7cd342a744254fdf442b7e24803db68c8.dcm','d22ae9831b261d6a5f39400d2ea4a7e7cd342a744254fdf442b7e24803db68c8',1000,'MODALITY',1700000008.0);
INSERT INTO "instances" VALUES('1.2.9.1','24a06ecdff4542519ad723fda0eb7411','1.2.840.10008.5.1.4.1.1.1.2','1.2.9','1.2.9.99','1.2.840.10008.1.2.1','MG','R','CC','/srv/ftmtl/spool/instances/79/794872dc8bf35ad21cbd26c542b8824b7efdd239247167c3e6b85f608f675195.dcm','794872dc8bf35ad21cbd26c542b8824b7efdd239247167c3e6b85f608f675195',1000,'MODALITY',1700000008.0);
INSERT INTO "instances" VALUES('1.2.9.2','24a06ecdff4542519ad723fda0eb7411','1.2.840.10008.5.1.4.1.1.1.2','1.2.9','1.2.9.99','1.2.840.10008.1.2.1','MG','L','MLO','/srv/ftmtl/spool/instances/36/36c611e9ee32c89517ba3bb6171f7b671ac0c922bd4fff2633d1165f8b2d5623.dcm','36c611e9ee32c89517ba3bb6171f7b671ac0c922bd4fff2633d1165f8b2d5623',1000,'MODALITY',1700000008.0);
INSERT INTO "instances" VALUES('1.2.9.3','24a06ecdff4542519ad723fda0eb7411','1.2.840.10008.5.1.4.1.1.1.2','1.2.9','1.2.9.99','1.2.840.10008.1.2.1','MG','R','MLO','/srv/ftmtl/spool/instances/35/351e22ed39905d04d84f9128921ee87ceb4fa95e2ee26baebe72aae0e48ffe1e.dcm','351e22ed39905d04d84f9128921ee87ceb4fa95e2ee26baebe72aae0e48ffe1e',1000,'MODALITY',1700000008.0);
CREATE TABLE jobs (
	job_id VARCHAR(32) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	updated FLOAT NOT NULL, 
	last_received FLOAT NOT NULL, 
	attempt INTEGER NOT NULL, 
	lost INTEGER NOT NULL, 
	lease_until FLOAT NOT NULL, 
	dispatched FLOAT NOT NULL, 
	forward_seconds FLOAT NOT NULL, 
	destinations TEXT NOT NULL, outcome VARCHAR(16) DEFAULT '' NOT NULL, outcome_reason TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (job_id)
);
INSERT INTO "jobs" VALUES('ee894441780841ab884b689a7ec17dc3','1.2.1','receiving','',1700000000.0,1700000000.0,1700000000.0,0,0,0.0,0.0,0.0,'[]','','');
INSERT INTO "jobs" VALUES('8282b3f0219746029b32289f436b65e3','1.2.11','receiving','',1700000001.0,1700000001.0,1700000001.0,0,0,0.0,0.0,0.0,'[]','','');
INSERT INTO "jobs" VALUES('fcd6397b2e0c4d12958042576ecdc8be','1.2.2','complete','',1700000001.0,1700000002.0,1700000001.0,0,0,0.0,0.0,0.0,'[]','','');
INSERT INTO "jobs" VALUES('5a328380b9b04d15abd0166839c601e7','1.2.3','queued','',1700000002.0,1700000003.0,1700000002.0,0,0,0.0,1700000003.0,0.0,'["archive"]','','');
INSERT INTO "jobs" VALUES('fab2782e75be48218630b89c5214e654','1.2.4','analysing','',1700000003.0,1700000004.0,1700000003.0,1,0,1700000034.0,0.0,0.0,'["archive"]','','');
INSERT INTO "jobs" VALUES('b7be328a9c304b3797fafb5323614212','1.2.5','delivering','',1700000004.0,1700000005.0,1700000004.0,2,0,0.0,0.0,1.5,'["archive", "viewer"]','','');
INSERT INTO "jobs" VALUES('edc3e143124a4ebb85ebb81d3c631a5b','1.2.6','delivered','',1700000005.0,1700000006.0,1700000005.0,2,0,0.0,0.0,1.5,'["archive"]','','');
INSERT INTO "jobs" VALUES('abd6686053c74594afb42fe623c4a55e','1.2.6','receiving','',1700000006.0,1700000006.0,1700000006.0,0,0,0.0,0.0,0.0,'[]','','');
INSERT INTO "jobs" VALUES('1092eba8486c4cddbbb8c3bc16d3fe58','1.2.7','committed','',1700000007.0,1700000008.0,1700000007.0,2,0,0.0,0.0,1.5,'["archive"]','','');
INSERT INTO "jobs" VALUES('99c3fe17ac664de4b28470c547a5c4b8','1.2.8','not_processed','no mammogram in this study (CT): stored, not processed',1700000008.0,1700000008.0,1700000008.0,0,0,0.0,0.0,0.0,'[]','','');
INSERT INTO "jobs" VALUES('24a06ecdff4542519ad723fda0eb7411','1.2.9','failed','archive: refused',1700000008.0,1700000009.0,1700000008.0,2,0,0.0,0.0,1.5,'["archive"]','','');
CREATE TABLE objects (
	job_id VARCHAR(32) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	PRIMARY KEY (job_id, sop_instance_uid), 
	FOREIGN KEY(job_id) REFERENCES jobs (job_id)
);
INSERT INTO "objects" VALUES('b7be328a9c304b3797fafb5323614212','2.25.50','seg','1.2.840.10008.5.1.4.1.1.66.4','2.25.509','/srv/ftmtl/spool/results/job5/seg.dcm');
INSERT INTO "objects" VALUES('b7be328a9c304b3797fafb5323614212','2.25.51','sr','1.2.840.10008.5.1.4.1.1.88.34','2.25.519','/srv/ftmtl/spool/results/job5/sr.dcm');
INSERT INTO "objects" VALUES('edc3e143124a4ebb85ebb81d3c631a5b','2.25.60','seg','1.2.840.10008.5.1.4.1.1.66.4','2.25.609','/srv/ftmtl/spool/results/job6/seg.dcm');
INSERT INTO "objects" VALUES('edc3e143124a4ebb85ebb81d3c631a5b','2.25.61','sr','1.2.840.10008.5.1.4.1.1.88.34','2.25.619','/srv/ftmtl/spool/results/job6/sr.dcm');
INSERT INTO "objects" VALUES('1092eba8486c4cddbbb8c3bc16d3fe58','2.25.70','seg','1.2.840.10008.5.1.4.1.1.66.4','2.25.709','/srv/ftmtl/spool/results/job7/seg.dcm');
INSERT INTO "objects" VALUES('1092eba8486c4cddbbb8c3bc16d3fe58','2.25.71','sr','1.2.840.10008.5.1.4.1.1.88.34','2.25.719','/srv/ftmtl/spool/results/job7/sr.dcm');
INSERT INTO "objects" VALUES('24a06ecdff4542519ad723fda0eb7411','2.25.90','seg','1.2.840.10008.5.1.4.1.1.66.4','2.25.909','/srv/ftmtl/spool/results/job9/seg.dcm');
INSERT INTO "objects" VALUES('24a06ecdff4542519ad723fda0eb7411','2.25.91','sr','1.2.840.10008.5.1.4.1.1.88.34','2.25.919','/srv/ftmtl/spool/results/job9/sr.dcm');
CREATE TABLE rejections (
	id INTEGER NOT NULL, 
	received FLOAT NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	sop_instance_uid VARCHAR(128) NOT NULL, 
	status INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	path TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "rejections" VALUES(1,1700000009.0,'MODALITY','1.2.3.4',49152,'cannot be parsed: ValueError','/srv/ftmtl/spool/rejected/ab/abc.dcm');
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_jobs_study_uid ON jobs (study_uid);
CREATE UNIQUE INDEX one_receiving_job ON jobs (study_uid) WHERE state = 'receiving';
CREATE INDEX ix_deliveries_state ON deliveries (state);
CREATE INDEX ix_instances_job_id ON instances (job_id);
CREATE INDEX ix_instances_study_uid ON instances (study_uid);
COMMIT;
